"""The command line. Imports neither textual nor rich, and never torch: each command its own."""

from __future__ import annotations

import errno
import importlib
import os
import sys

import click

from tl_tui import __version__
from tl_tui.common.errors import Problem
from tui.cli import exit_codes
from tui.cli.click_sections import write_examples, write_options

COMMANDS = {
    "layers": "Print the layer stack: what trains, what is frozen.",
    "train": "Train without a screen.",
    "attach": "Come back to a run that goes on without its screen.",
    "stop": "End such a run.",
    "runs": "List the runs there are.",
    "show": "Print one run.",
    "resume": "Go on with a run from its last checkpoint.",
    "predict": "Say what a run's model takes images for.",
    "evaluate": "Hold a run's model against labelled images.",
    "export": "Write a run as a plain training script, or its model for other programs.",
    "doctor": "Say what this machine offers and what tl-tui will do with it.",
    "fetch": "Download weights, for machines without internet to find them.",
    "completion": "Print the shell's completion script.",
}
"""In the order of the help; `open`, which is what no command at all means, is not listed."""

EXAMPLES = (
    ("the embedded demo: hot dog or not, on a ResNet-18", "tl-tui"),
    ("your own images, a folder for each class", "tl-tui flowers/ --arch resnet50"),
    ("a folder that is named like a command", "tl-tui ./train"),
    ("which layers would train?", "tl-tui layers --strategy last-stage"),
    ("the same without a screen, ten epochs", "tl-tui train flowers/ --arch resnet50"),
    ("what the app saved as a file, in a batch queue", "tl-tui train --config job.toml --json"),
    ("go on with a run, ten epochs more", "tl-tui resume 20261125-0815 --epochs 20"),
)


class TlTuiGroup(click.Group):
    """The group of all commands; each is imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS and name != "open":
            return None
        command: click.Command = importlib.import_module(f"tui.cli.commands.{name}").command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        own = first in ("--help", "-h", "--version", "open") or first in COMMANDS
        # While a shell completes, no word at all still means that a command may come.
        if not own and not (ctx.resilient_parsing and not args):
            args = ["open", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list:
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=text)
            for name, text in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        if incomplete.startswith("-"):
            found += self._open(ctx).shell_complete(ctx, incomplete)
        else:
            found.append(CompletionItem(incomplete, type="dir"))
        return found

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage("tl-tui", "[DIR] [OPTIONS]")
        formatter.write_usage("tl-tui", "COMMAND [DIR] [OPTIONS]", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        with formatter.section("Keys on the screen"):
            formatter.write_dl(
                [
                    ("up down", "walk through the layers"),
                    ("space", "freeze or thaw the layer"),
                    ("1 2 3 4 5", "head only, last stage, last two stages, all, BatchNorms"),
                    ("t", "take one train step and see where the gradient went"),
                    ("r", "run to the end, validating after every epoch; again: pause"),
                    ("e v", "results; the images that are taken for something else"),
                    ("0", "start over; the curve so far stays to compare with"),
                    ("? q", "all keys and the lesson; leave"),
                ]
            )
        write_options(self._open(ctx), ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(EXAMPLES, formatter)

    def _open(self, ctx: click.Context) -> click.Command:
        command = self.get_command(ctx, "open")
        assert command is not None
        return command


@click.group(cls=TlTuiGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tl-tui", message="%(prog)s %(version)s")
def command_line() -> None:
    """See a pretrained network as a stack of layers, freeze and thaw them, take real train steps,
    and watch where the gradient went: through what trains, down to the lowest trainable layer."""


def main(arguments: list[str]) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name.

    Returns:
        The exit code, see `exit_codes`.
    """
    if sys.stdout is None:  # `>&-`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    try:
        if "_TL_TUI_COMPLETE" in os.environ:
            command_line.main(arguments, prog_name="tl-tui")
        # Not by click's own main, which turns a closed pipe into exit code 1.
        with command_line.make_context("tl-tui", list(arguments)) as context:
            code = command_line.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        print(f"tl-tui: {_sentence(error)}", file=sys.stderr)
        return exit_codes.BAD_INPUT
    except Problem as problem:
        print(f"tl-tui: {problem}", file=sys.stderr)
        return exit_codes.BAD_INPUT
    except (KeyboardInterrupt, click.Abort):
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes standard output once more on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return exit_codes.PIPE_CLOSED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        reason = error.strerror or error
        print(f"tl-tui: the output cannot be written ({reason}); make room.", file=sys.stderr)
        return exit_codes.FAILED
    return code if isinstance(code, int) else exit_codes.DONE


def _sentence(error: click.ClickException) -> str:
    """click's message with where to read on."""
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
    asked = f" See {command.removesuffix(' open')} --help." if command else ""
    message = " ".join(error.format_message().split())
    return f"{message if message.endswith(('.', '?')) else message + '.'}{asked}"
