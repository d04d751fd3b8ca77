"""Conversion of images of any mode to 8-bit RGB, and the ranges of those with more bits."""
