"""Predictions for any mask: how far the gradient comes, and what a step costs."""
