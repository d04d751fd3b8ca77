"""Checks of a model: evaluation, audit, weight drift, range test, step cost, thumbnails."""
