"""Run directories: write the journal, list and read runs, and replay their settings."""
