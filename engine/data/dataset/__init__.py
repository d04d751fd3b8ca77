"""Datasets on disk: the layout of a folder, labels files, and what was left out."""
