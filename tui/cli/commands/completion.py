"""`tl-tui completion`: print the script with which a shell completes commands and options."""

from __future__ import annotations

import click

from tui.cli.click_sections import SectionedCommand


@click.command(
    "completion",
    cls=SectionedCommand,
    examples=(
        ("bash, in ~/.bashrc", 'eval "$(tl-tui completion bash)"'),
        ("zsh, in ~/.zshrc", 'eval "$(tl-tui completion zsh)"'),
        ("fish", "tl-tui completion fish > ~/.config/fish/completions/tl-tui.fish"),
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for a shell."""
    from click.shell_completion import get_completion_class

    from tui.cli.main import command_line

    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(command_line, {}, "tl-tui", "_TL_TUI_COMPLETE").source())
