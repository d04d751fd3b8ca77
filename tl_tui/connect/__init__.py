"""Start, find and reach an engine, on this machine or another."""
