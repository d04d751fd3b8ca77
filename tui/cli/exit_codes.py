"""What `tl-tui` tells the shell when it ends."""

DONE = 0
FAILED = 1
"""The run failed: the engine died, or a step could not be taken."""
BAD_INPUT = 2
"""What was asked for cannot be had here: a sentence said why."""
ON_REQUEST = 75
"""Ended by SIGTERM or SIGUSR1 (EX_TEMPFAIL), as batch systems send before the time is up."""
INTERRUPTED = 130
"""Ended by Ctrl-C."""
PIPE_CLOSED = 141
"""Who read the output has had enough; what a shell says of SIGPIPE."""
