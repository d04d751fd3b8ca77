"""Tests of sessions driven in the test process."""
