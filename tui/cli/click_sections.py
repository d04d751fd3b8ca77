"""A click command whose help has its options in sections and its examples at the end."""

from __future__ import annotations

from typing import Any

import click


class Option(click.Option):
    """An option that stands in a section of the help."""

    def __init__(self, *args: Any, section: str = "Options", **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.section = section

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """A switch as `--[no-]name`, which leaves room for what it does."""
        record = super().get_help_record(ctx)
        if record is None or not self.secondary_opts:
            return record
        return f"--[no-]{self.opts[0].removeprefix('--')}", record[1]

    def get_help_extra(self, ctx: click.Context) -> Any:
        """The help texts say what the ranges and the defaults are."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


class SectionedCommand(click.Command):
    """A command with sections of options and examples."""

    def __init__(self, *args: Any, examples: tuple[tuple[str, str], ...] = (), **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.examples = examples
        """What each does, and its command line."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(self.examples, formatter)


def write_options(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """Write a command's options, section by section in the order they are declared."""
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
    """Write examples: what each is for, and below it the line to type."""
    if not examples:
        return
    with formatter.section("Examples"):
        for purpose, line in examples:
            formatter.write(f"{'':>{formatter.current_indent}}# {purpose}\n")
            formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
