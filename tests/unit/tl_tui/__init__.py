"""Tests of what the screen and the engine share."""
