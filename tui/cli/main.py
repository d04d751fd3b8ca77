"""The command line: its commands, its help and its exit codes.

Each command is imported when it is used, so that the help appears without textual and rich.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys

import click

from tl_tui import __version__
from tl_tui.common.errors import Problem
from tl_tui.common.plain_text import accept_any_text
from tui.cli import exit_codes
from tui.cli.click_sections import write_examples, write_options
from tui.cli.output.names import printable
from tui.cli.suggestions import mistyped_command, near_option

COMMANDS = {
    "layers": "Print the layer stack and which layers train.",
    "train": "Train without a screen.",
    "attach": "Open the screen of a run in progress.",
    "stop": "End a run in progress and save its weights.",
    "runs": "List all runs.",
    "show": "Print a run's details.",
    "resume": "Continue a run from its last checkpoint.",
    "predict": "Classify images with a trained run.",
    "evaluate": "Evaluate a run on labelled images.",
    "export": "Write a run as a training script, or its model for other programs.",
    "doctor": "Report what tl-tui can use on this machine.",
    "fetch": "Download pretrained weights for use without internet.",
    "completion": "Print the completion script for a shell.",
}
"""The commands in the order of the help. `open`, the default command, is not listed."""

EXAMPLES = (
    ("the embedded demo: hot dog or not, on a ResNet-18", "tl-tui"),
    ("your own images, one folder per class", "tl-tui flowers/ --arch resnet50"),
    ("a folder with the name of a command", "tl-tui ./train"),
    ("which layers does a strategy train?", "tl-tui layers --strategy last-stage"),
    ("train without a screen", "tl-tui train flowers/ --arch resnet50"),
    ("a configuration saved by the app, in a batch queue", "tl-tui train --config job.toml --json"),
    ("continue a run to 20 epochs in total", "tl-tui resume 20261125-0815 --epochs 20"),
)


class TlTuiGroup(click.Group):
    """The group of all commands; without a command, it opens the screen."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS and name != "open":
            return None
        command: click.Command = importlib.import_module(f"tui.cli.commands.{name}").command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        known = first in ("--help", "-h", "--version", "open") or first in COMMANDS
        # During shell completion, an empty line may still become a command.
        if not known and not (ctx.resilient_parsing and not args):
            # Other words may follow a mistyped command, which `open` would complain about.
            if len(args) > 1 and (near := mistyped_command(first, COMMANDS)):
                raise click.UsageError(
                    f"{first}: there is no such folder and no such command; did you mean {near}?"
                )
            args = ["open", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list:
        from click.shell_completion import CompletionItem

        items = [
            CompletionItem(name, help=text)
            for name, text in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        if incomplete.startswith("-"):
            items += self._open(ctx).shell_complete(ctx, incomplete)
        else:
            items.append(CompletionItem(incomplete, type="dir"))
        return items

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage("tl-tui", "[DIR] [OPTIONS]")
        formatter.write_usage("tl-tui", "COMMAND [DIR] [OPTIONS]", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        with formatter.section("Keys on the screen"):
            formatter.write_dl(
                [
                    ("up down", "move through the layers"),
                    ("space", "freeze or unfreeze the layer"),
                    ("1 2 3 4 5", "train the head, last stage, last two stages, all, BatchNorms"),
                    ("t", "take one training step and see where the gradient went"),
                    ("r", "train to the end, validating after every epoch; again: pause"),
                    ("e v", "results; misclassified images"),
                    ("0", "start over; the previous loss curve stays for comparison"),
                    ("? q", "all keys and the lesson; quit"),
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
    """A workbench for transfer learning. It shows a pretrained network as a stack of layers: freeze
    and unfreeze layers, take real training steps, and see how far down the gradient went."""


def main(arguments: list[str]) -> int:
    """Run the command line.

    Args:
        arguments: The arguments without the program's name.

    Returns:
        An exit code from `exit_codes`.
    """
    if sys.stdout is None:  # The shell closed it (`>&-`).
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    accept_any_text()
    try:
        if "_TL_TUI_COMPLETE" in os.environ:
            command_line.main(arguments, prog_name="tl-tui")
        # click's own main would turn a closed pipe into exit code 1.
        with command_line.make_context("tl-tui", list(arguments)) as context:
            code = command_line.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        print(f"tl-tui: {printable(_sentence(error, arguments))}", file=sys.stderr)
        return exit_codes.BAD_INPUT
    except Problem as problem:
        print(f"tl-tui: {printable(str(problem))}", file=sys.stderr)
        return exit_codes.BAD_INPUT
    except (KeyboardInterrupt, click.Abort):
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes standard output once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return exit_codes.PIPE_CLOSED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        reason = error.strerror or error
        remedy = "check the disk" if error.errno == errno.EIO else "free some space"
        print(f"tl-tui: the output cannot be written ({reason}); {remedy}.", file=sys.stderr)
        return exit_codes.FAILED
    return code if isinstance(code, int) else exit_codes.DONE


def _sentence(error: click.ClickException, arguments: list[str]) -> str:
    """Return click's message on one line, with a similar option, and the help command to use."""
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
    hint = f" See {command.removesuffix(' open')} --help." if command else ""
    message = " ".join(error.format_message().split())
    if isinstance(error, click.NoSuchOption) and (near := near_option(error, arguments)):
        message += f" Did you mean '{near}'?"
    return f"{message if message.endswith(('.', '?')) else message + '.'}{hint}"
