"""Dialogs and full screens, one per file."""
