"""Texts made from the state: numbers, names, captions and sentences."""
