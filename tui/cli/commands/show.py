"""`tl-tui show RUN`: print what is known about a run."""

from __future__ import annotations

import click

from tui.cli import exit_codes
from tui.cli.click_sections import Option, SectionedCommand


@click.command("show", cls=SectionedCommand)
@click.argument("run")
@click.option(
    "--json",
    "as_json",
    cls=Option,
    section="Output",
    is_flag=True,
    help="Print one JSON object, which also has the losses and validations of every start.",
)
@click.option(
    "--picture",
    cls=Option,
    section="Output",
    metavar="FILE",
    help="Also draw the loss and the accuracy over the steps, as FILE.svg or FILE.png; needs the "
    "extra pictures.",
)
@click.option("--force", cls=Option, section="Output", is_flag=True, help="Overwrite FILE.")
def command(run: str, as_json: bool, picture: str | None, force: bool) -> int:
    """Print a run: its model, data, starts, best result and checkpoints.

    RUN is the run's directory, its name, or the beginning of its name; tl-tui runs lists all runs.
    """
    from tl_tui.runs.run_reader import find_run, read_run
    from tui.cli.output import pictures
    from tui.cli.output.names import printable
    from tui.cli.output.output_file import OutputFile
    from tui.cli.printing import print_json
    from tui.text.runs import run_as_json, run_page

    file: OutputFile | None = None
    if picture is not None:
        file = OutputFile("--picture", picture, force=force)
        pictures.check(file)
    shown = read_run(find_run(run))
    if as_json:
        starts = [
            {
                "start": start.start,
                "weights": start.weights,
                "losses": start.losses,
                "validations": [
                    {
                        "step": line.step,
                        "epoch": line.epoch,
                        "correct": line.correct,
                        "total": line.total,
                        "loss": line.loss,
                    }
                    for line in start.validations
                ],
            }
            for start in shown.starts
        ]
        print_json({**run_as_json(shown), "history": starts})
    else:
        lines = run_page(shown)
        width = max(len(name) for name, _ in lines)
        for name, value in lines:
            print(f"{name:<{width}}  {printable(value)}")
    if file is not None:
        pictures.draw_curves(file, shown)
    return exit_codes.DONE
