"""The commands of `tl-tui`, one file a command; imported only when used."""
