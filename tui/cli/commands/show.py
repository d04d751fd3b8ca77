"""`tl-tui show RUN`: one run."""

from __future__ import annotations

import click

from tui.cli.click_sections import Option, SectionedCommand


@click.command("show", cls=SectionedCommand)
@click.argument("run")
@click.option(
    "--json",
    "as_json",
    cls=Option,
    section="Output",
    is_flag=True,
    help="One JSON object, with the losses and validations of every start.",
)
def command(run: str, as_json: bool) -> int:
    """Print one run: what it trained on what, its starts, its best result, its checkpoints.

    RUN is its directory, its name, or the beginning of that; tl-tui runs lists them.
    """
    from tl_tui.common import json_codec
    from tl_tui.runs.run_reader import find_run, read_run
    from tui.cli.output.train.sentences import printable
    from tui.text.runs import run_as_json, run_page

    found = read_run(find_run(run))
    if as_json:
        starts = [
            {
                "start": one.start,
                "weights": one.weights,
                "losses": one.losses,
                "validations": [
                    {
                        "step": line.step,
                        "epoch": line.epoch,
                        "correct": line.correct,
                        "total": line.total,
                        "loss": line.loss,
                    }
                    for line in one.validations
                ],
            }
            for one in found.starts
        ]
        print(json_codec.dumps({**run_as_json(found), "history": starts}), flush=True)
        return 0
    lines = run_page(found)
    width = max(len(what) for what, _ in lines)
    for what, value in lines:
        print(f"{what:<{width}}  {printable(value)}")
    return 0
