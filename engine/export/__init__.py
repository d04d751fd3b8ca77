"""Exports of a run: its model as files (`model`) and its training as a script (`script`)."""
