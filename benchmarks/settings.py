"""The best settings there are, end to end, against the textbook loop in fp32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .rows import Bench, Reading, Row, interleaved, ratio
from .running import Running, Textbook
from .steps import Twins
from .textbook_data import demo_images

EAGER = "the textbook eager fp32 loop"
BEST: dict[str, Any] = {}
"""Fields of `RunConfig` that make it fastest on a CPU, beyond the defaults."""
CASES = [("full", 32, 64), ("full", 16, 128)]
GPU = [(arch, 32, 224, "full") for arch in ("resnet18", "resnet50")]


def cpu(bench: Bench) -> Iterator[Reading]:
    """Epochs in turn: decoding, steps, journal and messages, against a DataLoader as it comes."""
    for number, (strategy, batch, size) in enumerate(bench.cases(CASES)):
        images = demo_images(bench)
        ours = Running(
            bench.fresh(f"best-{number}"),
            data=str(images),
            strategy=strategy,
            batch_size=batch,
            image_size=size,
            device="cpu",
            **BEST,
        )
        theirs = Textbook(images / "train", strategy, batch, size)
        try:
            pairs = interleaved(ours.epoch, theirs.epoch, bench.count(5, 1), warm=1)
        finally:
            ours.close()
        case = f"resnet18, {batch} × {size} px, {strategy}, an epoch"
        yield ratio(pairs, case, f"{EAGER}, DataLoader by default", reach=0.8)


def gpu(bench: Bench) -> Iterator[Reading]:
    """A step with the whole probe in bf16 against the eager one without instruments."""
    for case in bench.cases(GPU):
        twins = Twins(*case, device="cuda", precision="bf16")
        arch, batch, size, strategy = case
        pairs = interleaved(twins.watched, twins.bare, bench.count(100), warm=5)
        title = f"{arch}, {batch} × {size} px, {strategy}, bf16, with the whole probe"
        yield ratio(pairs, title, EAGER, reach=0.6)


ROWS = [
    Row("best-cpu", "best settings on the CPU, end to end", EAGER, cpu),
    Row("gpu-best", "a step with the probe, best settings", EAGER, gpu, needs_gpu=True),
]
