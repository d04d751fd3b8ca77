"""Tests of the audit, the step cost and thumbnails."""
