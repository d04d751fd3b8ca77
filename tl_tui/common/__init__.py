"""Errors, JSON, metrics and the host, for all other folders."""
