"""What a user probably meant by a mistyped command or option."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from difflib import get_close_matches

import click

OPTIONS = ("help", "version")
"""Options of `tl-tui` itself that other programs have as commands."""


def near_command(word: str, commands: Collection[str]) -> str:
    """Return the command line that a word is probably meant for, such as `tl-tui train`.

    Args:
        word: The word in the place of a command.
        commands: The names of the commands.

    Returns:
        Empty if no command has a similar name.
    """
    near = get_close_matches(word.lower(), [*commands, *OPTIONS], n=1)
    if not near:
        return ""
    return f"tl-tui {'--' if near[0] in OPTIONS else ''}{near[0]}"


def mistyped_command(word: str, commands: Collection[str]) -> str:
    """Return the command line that the first argument is probably meant for; empty if it is a
    folder, an option, or a command written correctly."""
    if not word or word in commands or word.startswith("-") or os.path.lexists(word):
        return ""
    return "" if os.sep in word else near_command(word, commands)


def near_option(error: click.NoSuchOption, arguments: Sequence[str]) -> str:
    """Return the long option that was written with one hyphen, such as `--epochs` for `-epochs`.

    click reads such a word as several short options and reports only the first.

    Args:
        error: The error that names the short option.
        arguments: The arguments of the command line.

    Returns:
        Empty if there is no similar option.
    """
    if error.ctx is None or error.option_name.startswith("--"):
        return ""
    names = [
        name
        for parameter in error.ctx.command.get_params(error.ctx)
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--")
    ]
    for word in arguments:
        if word.startswith(error.option_name) and len(word) > len(error.option_name):
            near = get_close_matches(f"-{word.partition('=')[0]}", names, n=1)
            return near[0] if near else ""
    return ""
