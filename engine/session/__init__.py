"""One session of the engine: opening, steps, settings, checkpoints, resuming and measurements."""
