"""The terminal interface of tl-tui, built with Textual."""
