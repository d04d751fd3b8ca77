"""The screen and the command line of tl-tui. Nothing here imports torch."""
