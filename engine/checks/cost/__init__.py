"""Measuring what a train step costs: time and memory of each owner."""
