"""The actions that keys and the command palette run, grouped by subject."""
