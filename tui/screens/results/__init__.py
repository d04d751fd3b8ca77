"""The results screen and its sections, one per file."""
