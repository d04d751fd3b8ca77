"""The options that say what to train, on what and how; shared by every command that opens a run."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import click

from tl_tui.common.errors import Problem
from tl_tui.protocol.config import RunConfig
from tl_tui.settings import config_file
from tl_tui.settings.defaults import defaults
from tl_tui.settings.recipe import check_recipe, recipe_of
from tui.cli.click_sections import Option
from tui.cli.options import data_and_model, training
from tui.cli.options.conflicts import merge_options

OPTIONS = (*data_and_model.OPTIONS, *training.OPTIONS)


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the shared options.

    It is called with `config`, a `RunConfig`, and with `probe_every` as it was asked for.
    """

    @functools.wraps(function)
    def command(**given: Any) -> Any:
        folder, file = given.pop("folder"), given.pop("config_file")
        asked = {field: given.pop(field) for field in config_file.OPTIONS}
        asked = {field: value for field, value in asked.items() if value is not None}
        if folder is not None:
            if "data" in asked:
                raise Problem(f"The data is given twice: {folder} and --data {asked['data']}.")
            asked["data"] = folder
        filed = {} if file is None else _checked(file, config_file.read_config_file(file))
        choices = merge_options(asked, filed, file)
        config = RunConfig(**choices)

        def called(field: str) -> str:
            """How a choice was given, up to its value."""
            if field not in asked:
                return f"{file}: {config_file.key_of(field)} = "
            positional = field == "data" and folder is not None
            return "" if positional else f"--{config_file.key_of(field)} "

        _check(config, called, here=given.get("host") is None)
        return function(config=config, probe_every=choices.get("probe_every"), **given)

    for option in reversed(OPTIONS):
        command = option(command)
    return command


def markdown_table() -> str:
    """The options as the README shows them, section by section."""

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
    """What a run file asks for, held against the same ranges as the options.

    Raises:
        Problem: in a sentence with the file's name.
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


def _check(config: RunConfig, called: Callable[[str], str], *, here: bool) -> None:
    """What can be known to be wrong before an engine is started; it checks the rest.

    Args:
        config: What is asked for.
        called: How a field was given: `--data `, or nothing before it.
        here: Its paths are of this machine.

    Raises:
        Problem: in a sentence.
    """
    for field in ("data", "labels", "weights", "run_dir"):
        if getattr(config, field) == "":
            raise Problem(f"{called(field)}'' is empty; leave it out, or name something.")
        check_name(f"{called(field)}{getattr(config, field)}")
    if here:
        _check_paths(config, called)
    _check_recipe(config)


def _check_paths(config: RunConfig, called: Callable[[str], str]) -> None:
    if config.data is not None and not os.path.isdir(config.data):
        where = f"{called('data')}{config.data}"
        if os.path.exists(config.data):
            raise Problem(f"{where} is a file; name the folder that holds a folder a class.")
        raise Problem(f"{where}: there is no such folder{_near_command(config.data)}")
    if config.labels is not None and not os.path.isfile(config.labels):
        where = f"{called('labels')}{config.labels}"
        if os.path.exists(config.labels):
            raise Problem(f"{where} is a folder; name a CSV file with the columns path and label.")
        raise Problem(f"{where}: there is no such file.")
    if config.run_dir is not None and os.path.isfile(config.run_dir):
        raise Problem(f"{called('run_dir')}{config.run_dir} is a file; name a folder to be made.")


def check_name(said: str) -> None:
    """Refuse names that are no text; the engine's messages are UTF-8."""
    try:
        said.encode()
    except UnicodeEncodeError as error:
        shown = said.encode("ascii", "backslashreplace").decode()
        raise Problem(f"{shown}: this name is not UTF-8; rename it, or link to it.") from error


def _check_recipe(config: RunConfig) -> None:
    check_recipe(recipe_of(config, defaults(pretrained=True, accelerator=False)))


def _near_command(word: str) -> str:
    """A hint for who meant a command."""
    import difflib

    from tui.cli.main import COMMANDS

    if word in COMMANDS:
        return f"; write the command first: tl-tui {word} ..."
    near = difflib.get_close_matches(word, COMMANDS, n=1)
    return f" and no such command; did you mean tl-tui {near[0]}?" if near else "."
