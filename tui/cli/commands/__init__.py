"""The commands of `tl-tui`, one module per command, each imported only when it is used."""
