"""The Textual app: it connects the engine, the state, the screens and the keys."""
