"""The rows for growth: costs of the screen and the engine at small and at large sizes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
from torch import nn

from benchmarks.harness.paired_steps import PairedModels
from benchmarks.harness.watched_program import MeasuredProgram
from benchmarks.studies.many_files import draw
from benchmarks.table.row import Bench, Reading, Row, interleaved, quartiles, ratio
from tests.support.replayed_session import Replay
from tests.support.stack_messages import bottleneck_stack, opened, resnet18_stack, step_taken
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.layers import OwnerInfo, RowInfo, StackInfo, StageInfo
from tl_tui.protocol.session import HistorySent, StartCurves
from tl_tui.protocol.training import TrainEnded

FLAT = 1.25
"""The largest ratio that counts as flat: the large end costs at most a quarter more."""
PER_STAGE = 20
BURST = 200
"""The number of steps that arrive at once."""


def made_up_stack(rows: int) -> StackInfo:
    """Return a chain of layers with one owner each, in stages of twenty; the last is the head."""
    owners, infos, stages = [], [], []
    for number in range(rows):
        head = number == rows - 1
        name = "fc" if head else f"layer{number // PER_STAGE}.{number % PER_STAGE}"
        stage = name.partition(".")[0]
        first = number
        if stages and stages[-1].name == stage:
            first = stages.pop().first_row
        stages.append(
            StageInfo(
                name=stage,
                first_row=first,
                end_row=number + 1,
                role="parts",
                params=36864 * (number + 1 - first),
                output_shape=(64, 8, 8),
            )
        )
        owners.append(
            OwnerInfo(
                name=name,
                kind="Linear" if head else "Conv2d",
                detail="64 → 64, 3×3",
                params=36864,
                row=number,
                parents=(number - 1,) if number else (),
                norm=False,
            )
        )
        infos.append(
            RowInfo(
                name=name,
                kind=owners[-1].kind,
                detail="64 → 64, 3×3",
                params=36864,
                role="parts",
                stage=len(stages) - 1,
                first_owner=number,
                end_owner=number + 1,
                output_shape=(64, 8, 8),
                cut=not head,
                head=head,
            )
        )
    return StackInfo(rows=tuple(infos), owners=tuple(owners), stages=tuple(stages), traced=True)


def chain(layers: int) -> nn.Module:
    """Return a chain of small convolutions with a head; `layers` layers in all."""
    body: list[nn.Module] = [nn.Conv2d(3, 8, 3, padding=1, stride=4)]
    for _ in range(layers - 2):
        body.append(nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()))
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))


# --- the screen ---------------------------------------------------------------------------------


def shown(
    folder: Path, events: Sequence[AnyEvent], train: Sequence[AnyEvent] = ()
) -> MeasuredProgram:
    """Start the screen on an engine that replays `events` on opening and `train` on training."""
    folder.mkdir(parents=True)
    file = folder / "events"
    file.write_bytes(msgspec.msgpack.encode(Replay(at_open=list(events), at_train=list(train))))
    command = [sys.executable, "-m", "tests.support.replayed_session", "open"]
    return MeasuredProgram(command, folder, TL_TUI_TEST_EVENTS=str(file))


def moves(
    bench: Bench, what: str, ends: Sequence[tuple[str, Sequence[AnyEvent]]]
) -> Iterator[Reading]:
    """Measure a cursor move at every size alternately, and compare time and bytes with the first.

    Args:
        bench: The settings of the measurement.
        what: A name for the folders.
        ends: The sizes, smallest first: a label, and the events that the screen shows.
    """
    with ExitStack() as stack:
        screens = []
        for number, (_, events) in enumerate(ends):
            screen = stack.enter_context(shown(bench.folder("growth") / f"{what}-{number}", events))
            screens.append(screen)
        for screen in screens:
            screen.wait_until(lambda screen=screen: screen.cursor() is not None, "the stack")
            screen.wait_for("Press t|step")
            screen.settle(1.0)
        times: list[list[float]] = [[] for _ in ends]
        sizes: list[list[float]] = [[] for _ in ends]
        for number in range(bench.count(40)):
            for index, screen in enumerate(screens):
                before = screen.bytes_read
                times[index].append(screen.latency("up" if number % 2 else "down", screen.cursor))
                screen.settle(0.3)
                sizes[index].append(float(screen.bytes_read - before))
    for index, (name, _) in enumerate(ends[1:], start=1):
        against = f"the same with {ends[0][0]}"
        pairs = list(zip(times[index], times[0], strict=True))
        yield ratio(pairs, f"cursor move with {name}, time", against, reach=FLAT)
        bytes_ = list(zip(sizes[index], sizes[0], strict=True))
        yield ratio(bytes_, f"cursor move with {name}, bytes", against, reach=FLAT, of="bytes")


def layers(bench: Bench) -> Iterator[Reading]:
    """Measure 10 to 1,000 layers: the screen's cursor move, and the cost of measuring a step."""
    stacks = {
        "resnet18": resnet18_stack(),
        "resnet152": bottleneck_stack(),
        "1,000 made-up layers": made_up_stack(1000),
    }
    ends = []
    for name, stack in stacks.items():
        session = opened(stack, range(len(stack.owners)))
        ends.append((name, [session, step_taken(stack, session.trainable)]))
    yield from moves(bench, "layers", ends)
    few, many = 10, 100 if bench.quick else 1000
    yield from watching(
        bench,
        f"watched / bare step of {many:,} layers",
        f"the same of {few} layers",
        PairedModels("", 4, 32, "full", model=lambda: chain(few)),
        PairedModels("", 4, 32, "full", model=lambda: chain(many)),
    )


def history(bench: Bench) -> Iterator[Reading]:
    """Measure 10 to 100,000 steps of history: the screen's processor time for new steps.

    Both screens alternately receive the same burst of steps (`r`). For the journal, see
    `benchmarks.studies.long_journal`.
    """
    stack, few, many = resnet18_stack(), 10, 1000 if bench.quick else 100_000
    with ExitStack() as open_screens:
        screens = []
        for steps in (few, many):
            session = opened(stack, step=steps)
            losses = tuple((step, 0.3 + 0.5 / step) for step in range(1, steps + 1))
            start = StartCurves(start=0, weights="none", losses=losses, validations=())
            burst: list[AnyEvent] = [
                step_taken(stack, session.trainable, step=steps + number)
                for number in range(1, BURST + 1)
            ]
            events = [session, HistorySent(starts=(start,))]
            burst.append(TrainEnded(start=0, step=steps + BURST, reason="done"))
            folder = bench.folder("growth") / f"history-{steps}"
            screens.append(open_screens.enter_context(shown(folder, events, burst)))
        for screen in screens:
            screen.wait_until(lambda screen=screen: screen.cursor() is not None, "the stack")
            screen.settle(1.0)

        def work(screen: MeasuredProgram) -> float:
            before = screen.processor_s()
            screen.press("r")
            screen.read(5.0)
            screen.settle(1.0)
            return screen.processor_s() - before

        pairs = interleaved(
            lambda: work(screens[1]), lambda: work(screens[0]), bench.count(10, 1), warm=1
        )
    yield ratio(
        [(max(a, 0.01), max(b, 0.01)) for a, b in pairs],
        f"processor time of {BURST} steps behind {many:,}",
        f"the same behind {few}",
        reach=FLAT,
    )


def classes(bench: Bench) -> Iterator[Reading]:
    """Measure 2 to 10,000 classes: the screen's cursor move, and the cost of measuring a step."""
    many = 100 if bench.quick else 10_000
    ends: list[tuple[str, Sequence[AnyEvent]]] = []
    for count in (2, many):
        names = tuple(f"class {number}" for number in range(count))
        ends.append((f"{count:,} classes", [opened(classes=names, chance=1 / count)]))
    yield from moves(bench, "classes", ends)
    yield from watching(
        bench,
        f"watched / bare step with {many:,} classes",
        "the same with 2 classes",
        PairedModels("resnet18", 16, 64, "feature-extraction"),
        PairedModels("resnet18", 16, 64, "feature-extraction", classes=many),
    )


# --- the engine ---------------------------------------------------------------------------------


def watching(
    bench: Bench, case: str, against: str, small: PairedModels, large: PairedModels
) -> Iterator[Reading]:
    """Compare the relative cost of measuring a step at the large end with the small end."""

    def factor(twins: PairedModels) -> Callable[[], float]:
        def once() -> float:
            pairs = interleaved(twins.watched, twins.bare, 2, warm=0)
            return sum(ours for ours, _ in pairs) / sum(bare for _, bare in pairs)

        return once

    pairs = interleaved(factor(large), factor(small), bench.count(30))
    yield ratio(pairs, case, against, reach=FLAT, of="watched / bare")


def files(bench: Bench) -> Iterator[Reading]:
    """Measure 1,000 to 1,000,000 files: the listing's time per file and longest pause."""
    few, many = (100, 400) if bench.quick else (1000, 1_000_000)
    folders = {}
    for count in (few, many):
        folders[count] = bench.folder(f"files-{count}")
        draw(folders[count], count)

    def listed(count: int) -> dict[str, float]:
        command = [
            sys.executable,
            "-m",
            "benchmarks.studies.many_files",
            "--child",
            str(folders[count]),
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        answer: dict[str, float] = json.loads(done.stdout)
        return answer

    found = [(listed(many), listed(few)) for _ in range(bench.count(3, 1))]
    against = f"the same of {few:,} files"
    seconds = [(1 / a["files_per_second"], 1 / b["files_per_second"]) for a, b in found]
    yield ratio(seconds, f"listing {many:,} files: seconds a file", against, reach=FLAT)
    low, middle, high = quartiles([large["longest_ms"] for large, _ in found])
    yield Reading(
        f"listing {many:,} files: longest time without looking at a command",
        "nothing",
        value=middle,
        low=low,
        high=high,
        unit="ms",
        count=len(found),
    )


ROWS = [
    Row("growth-layers", "10 to 1,000 layers", "itself at the small end", layers),
    Row("growth-history", "10 to 100,000 steps of history", "itself at the small end", history),
    Row("growth-files", "1,000 to 1,000,000 files", "itself at the small end", files),
    Row("growth-classes", "2 to 10,000 classes", "itself at the small end", classes),
]
