"""What the screen knows: pure functions and classes that reduce the engine's events."""
