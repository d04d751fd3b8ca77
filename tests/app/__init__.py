"""Tests of the app, run by Textual's pilot on a scripted engine."""
