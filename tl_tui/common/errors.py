"""Errors whose text is shown to the user."""

from __future__ import annotations


class Problem(ValueError):
    """An input that cannot be used; the text says what is wrong, where, and what to do."""

    choices: tuple[str, ...] = ()
    """Values for `--weights` that would work, if the weights are the problem."""
