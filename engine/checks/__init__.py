"""Checks of a model and its training: evaluation, audit, drift, range test, step cost, thumbnails."""
