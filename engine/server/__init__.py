"""The engine's process: its socket, the connected clients and the dispatch of their commands."""
