"""The messages between clients and the engine, the values they carry, and their framing."""
