"""The exit codes of `tl-tui`."""

DONE = 0
FAILED = 1
"""The run failed: the engine died, or a step could not be computed."""
BAD_INPUT = 2
"""The request cannot be fulfilled; a message on standard error says why."""
ON_REQUEST = 75
"""Ended by SIGTERM or SIGUSR1 (EX_TEMPFAIL), which batch systems send before the time limit."""
INTERRUPTED = 130
"""Ended by Ctrl-C."""
PIPE_CLOSED = 141
"""The reader of the output closed the pipe; shells report the same code for SIGPIPE."""
