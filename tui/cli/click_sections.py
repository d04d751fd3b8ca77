"""A click command whose help groups the options in sections and ends with examples."""

from __future__ import annotations

from typing import Any

import click


class Option(click.Option):
    """An option that belongs to a section of the help."""

    def __init__(self, *args: Any, section: str = "Options", **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.section = section

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the names and the help text, with a switch shortened to `--[no-]name`."""
        record = super().get_help_record(ctx)
        if record is None or not self.secondary_opts:
            return record
        return f"--[no-]{self.opts[0].removeprefix('--')}", record[1]

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Return what click adds to the help text, without the range, which the text contains."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


class SectionedCommand(click.Command):
    """A command with sections of options and with examples."""

    def __init__(self, *args: Any, examples: tuple[tuple[str, str], ...] = (), **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.examples = examples
        """Pairs of a purpose and the command line that serves it."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(self.examples, formatter)


def write_options(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """Write a command's options section by section, in the order of their declaration."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        if not isinstance(parameter, click.Option):
            continue
        record = parameter.get_help_record(ctx)
        if record is not None:
            section = getattr(parameter, "section", "Options")
            sections.setdefault(section, []).append(record)
    general = sections.pop("Options", [])
    for section, records in [*sections.items(), ("Options", general)]:
        with formatter.section(section):
            formatter.write_dl(records)


def write_examples(examples: tuple[tuple[str, str], ...], formatter: click.HelpFormatter) -> None:
    """Write examples: the purpose of each as a comment, followed by its command line."""
    if not examples:
        return
    with formatter.section("Examples"):
        for purpose, line in examples:
            formatter.write(f"{'':>{formatter.current_indent}}# {purpose}\n")
            formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
