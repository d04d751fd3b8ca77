"""Bad input, told in one clear sentence: what is wrong, where, and what to do. Imports no torch."""

from __future__ import annotations


class Problem(ValueError):
    """What the user gave cannot be used. `str(problem)` is the sentence to show.

    Attributes:
        choices: Values for `--weights` that would work, if that is the question.
    """

    choices: tuple[str, ...] = ()
