"""What the screen and the engine share: messages, settings, run directories, connections."""

__version__ = "0.1.0"
