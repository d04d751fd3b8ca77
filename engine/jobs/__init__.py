"""Jobs that need torch but no session: predict, evaluate, and the checks of `tl-tui doctor`."""
