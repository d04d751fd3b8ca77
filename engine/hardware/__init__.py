"""Devices and memory: what this machine offers and how much of it is free."""
