"""`tl-tui layers`: print the layer stack without training."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import click
import msgspec

from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.layers import RowInfo
from tl_tui.protocol.session import SessionOpened
from tui.cli import exit_codes
from tui.cli.click_sections import Option, SectionedCommand
from tui.cli.options.run_options import run_options
from tui.cli.printing import print_json

if TYPE_CHECKING:
    from tl_tui.connect.client import Connection


@click.command(
    "layers",
    cls=SectionedCommand,
    examples=(
        ("which layers does feature extraction train?", "tl-tui layers"),
        ("only layer2 and the head", "tl-tui layers --trainable layer2,fc"),
        ("as JSON for other programs", "tl-tui layers --arch resnet50 --weights none --json"),
    ),
)
@run_options
@click.option(
    "--json", "as_json", cls=Option, section="Output", is_flag=True, help="Print one JSON object."
)
def command(config: RunConfig, probe_every: int | None, as_json: bool) -> int:
    """Print the layer stack from the input on: the parameters of each layer, whether it trains,
    and its role."""
    from tui.cli import headless

    config = msgspec.structs.replace(config, describe_only=True)

    async def task(connection: Connection, events: AsyncIterator[AnyEvent]) -> int:
        session = await headless.open_session(connection, events, config)
        if as_json:
            print_json(stack_as_json(session))
        else:
            _print_table(session)
        return exit_codes.DONE

    return headless.run(task)


def stack_as_json(session: SessionOpened) -> dict[str, Any]:
    """Return the stack as the object that `layers --json` prints."""
    layers = [_layer(session, row) for row in session.stack.rows]
    return {
        "arch": session.arch,
        "weights": session.weights,
        "weights_why": session.weights_reason,
        "data": session.data,
        "classes": session.classes,
        "strategy": session.strategy,
        "params": sum(layer["params"] for layer in layers),
        "trainable_params": sum(layer["trainable_params"] for layer in layers),
        "layers": layers,
    }


def _layer(session: SessionOpened, row: RowInfo) -> dict[str, Any]:
    owners = range(row.first_owner, row.end_owner)
    trainable = [owner for owner in owners if owner in session.trainable]
    partial = 0 < len(trainable) < len(owners)
    return {
        "name": row.name,
        "kind": row.kind,
        "params": row.params,
        "trainable": "partial" if partial else bool(trainable),
        "trainable_params": sum(session.stack.owners[owner].params for owner in trainable),
        "role": row.role,
    }


def _print_table(session: SessionOpened) -> None:
    from tui.cli.output.names import printable
    from tui.cli.output.table import Column, fitting_columns, output_width, table_lines
    from tui.cli.printing import suit_terminal, unbroken_lines

    stack = stack_as_json(session)
    layers, total, trains = stack["layers"], stack["params"], stack["trainable_params"]
    states = {True: "train", False: "frozen", "partial": "part"}

    def column(heading: str, key: str, last: str, **options: Any) -> Column:
        cells = [states[layer[key]] if key == "trainable" else layer[key] for layer in layers]
        texts = [f"{cell:,}" if isinstance(cell, int) else printable(cell) for cell in cells]
        return Column(heading, [*texts, last], **options)

    columns = [
        column("layer", "name", f"{len(layers)} layers"),
        column("kind", "kind", "", rank=2),
        column("params", "params", f"{total:,}", rank=1, right=True),
        column("state", "trainable", f"{trains / total:.1%} trains"),
        column("trainable", "trainable_params", f"{trains:,}", rank=1, right=True),
        column("role", "role", "", rank=3),
    ]
    suit_terminal(sys.stdout)
    width = output_width()
    strategy = session.strategy or "set by hand"
    title = f"{session.arch}, {session.weights} weights, strategy {strategy}; input first"
    heading, *rows = table_lines(fitting_columns(columns, width))
    for line in [*unbroken_lines(printable(title), width), "", heading, *rows[:-1], "", rows[-1]]:
        print(line)
