"""Whole screens and dialogs: one a file."""
