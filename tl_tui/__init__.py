"""What the screen and the engine share: messages, settings, run directories, connections.

Nothing here imports torch, Textual, Rich or click.
"""

__version__ = "0.1.0"
