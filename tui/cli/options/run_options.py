"""The options of every command that opens a run: what to train, on what, and how."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import click

from tl_tui.common.errors import Problem
from tl_tui.protocol.config import RunConfig
from tl_tui.settings import config_file
from tl_tui.settings.columns import parse_columns
from tl_tui.settings.defaults import defaults
from tl_tui.settings.recipe import check_recipe, recipe_of
from tui.cli.click_sections import Option
from tui.cli.options.config_fields import OPTIONS
from tui.cli.options.conflicts import merge_options
from tui.cli.options.types import check_no_pipe, check_utf8


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the shared options to a command.

    The command is called with `config`, a `RunConfig`, and with `probe_every`, which is None unless
    the user chose it.
    """

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        folder, file = values.pop("folder"), values.pop("config_file")
        given = {field: values.pop(field) for field in config_file.OPTIONS}
        given = {field: value for field, value in given.items() if value is not None}
        if folder is not None:
            if "data" in given:
                raise Problem(
                    f"The image folder is given twice: {folder} and --data {given['data']}."
                )
            given["data"] = folder
        filed = {} if file is None else _checked(file, config_file.read_config_file(file))
        choices = merge_options(given, filed, file)
        config = RunConfig(**choices)

        def source_of(field: str) -> str:
            """Return how the user wrote a choice, up to its value."""
            if field not in given:
                return f"{file}: {config_file.key_of(field)} = "
            positional = field == "data" and folder is not None
            return "" if positional else f"--{config_file.key_of(field)} "

        _check(config, source_of, local=values.get("host") is None)
        return function(config=config, probe_every=choices.get("probe_every"), **values)

    decorated: Callable[..., Any] = command
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    return decorated


def markdown_table() -> str:
    """Return the options as a Markdown table with one part per section, for the README."""

    @click.command("shared")
    @run_options
    def shared(**_: Any) -> None: ...

    sections: dict[str, list[str]] = {}
    for parameter in shared.params:
        if isinstance(parameter, Option):
            value = "" if parameter.is_flag else f" {parameter.metavar}"
            names = ", ".join(
                f"`{name}{value}`" for name in (*parameter.opts[:1], *parameter.secondary_opts)
            )
            sections.setdefault(parameter.section, []).append(f"| {names} | {parameter.help} |")
    rows = [row for name, each in sections.items() for row in (f"| **{name}** | |", *each)]
    return "\n".join(["| option | |", "|---|---|", *rows])


def _checked(file: str, filed: dict[str, Any]) -> dict[str, Any]:
    """Return the choices of a configuration file, converted by the types of the options.

    Raises:
        Problem: A value is out of range; the text names the file and the key.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name in filed:
            value = filed[parameter.name]
            try:
                filed[parameter.name] = parameter.type.convert(value, parameter, context)
            except click.BadParameter as error:
                key = config_file.key_of(parameter.name)
                raise Problem(f"{file}: {key} = {value!r}: {error.message}") from error
    try:
        _check_recipe(RunConfig(**filed))
    except Problem as problem:
        raise Problem(f"{file}: {problem}") from problem
    return filed


def _check(config: RunConfig, source_of: Callable[[str], str], *, local: bool) -> None:
    """Refuse what is known to be wrong before an engine starts; the engine checks the rest.

    Args:
        config: The user's choices.
        source_of: Returns how the user wrote a field up to its value, such as `--data `.
        local: Whether the paths belong to this machine.

    Raises:
        Problem: A choice is wrong; the text says which and why.
    """
    for field in ("data", "labels", "weights", "run_dir"):
        if getattr(config, field) == "":
            raise Problem(f"{source_of(field)}'' is empty; leave the option out or give a value.")
        check_utf8(f"{source_of(field)}{getattr(config, field)}")
    if local:
        _check_paths(config, source_of)
    parse_columns(config.columns)
    _check_recipe(config)


def _check_paths(config: RunConfig, source_of: Callable[[str], str]) -> None:
    if config.data is not None and not os.path.isdir(config.data):
        where = f"{source_of('data')}{config.data}"
        if os.path.exists(config.data):
            raise Problem(f"{where} is a file; name a folder that contains one folder per class.")
        raise Problem(f"{where}: there is no such folder{_command_hint(config.data)}")
    if config.labels is not None and not os.path.isfile(config.labels):
        where = f"{source_of('labels')}{config.labels}"
        check_no_pipe(where, config.labels)
        if os.path.exists(config.labels):
            raise Problem(
                f"{where} is a folder; name a CSV file with a path and a label in each row."
            )
        raise Problem(f"{where}: there is no such file.")
    if config.run_dir is not None and os.path.isfile(config.run_dir):
        raise Problem(f"{source_of('run_dir')}{config.run_dir} is a file; name a new folder.")


def _check_recipe(config: RunConfig) -> None:
    check_recipe(recipe_of(config, defaults(pretrained=True, accelerator=False)))


def _command_hint(word: str) -> str:
    """Return a hint at a similar command name, to append to an error; empty if there is none."""
    from tui.cli.main import COMMANDS
    from tui.cli.suggestions import near_command

    if word in COMMANDS:
        return f"; write the command first: tl-tui {word} ..."
    near = "" if os.sep in word else near_command(word, COMMANDS)
    return f" and no such command; did you mean {near}?" if near else "."
