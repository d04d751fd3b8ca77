"""The rows for the fastest settings, compared with the textbook loop in fp32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from benchmarks.harness.measured_run import Textbook
from benchmarks.harness.paired_steps import PairedModels
from benchmarks.harness.textbook_data import demo_images, photographs
from benchmarks.peers.turns import Peer
from benchmarks.table.row import Bench, Reading, Row, interleaved, ratio

EAGER = "the textbook eager fp32 loop"


class Case(NamedTuple):
    strategy: str
    batch: int
    size: int
    files: str
    """The images: `drawings` (the demo's, 128 px) or `photographs` (640 × 480)."""


CASES = [
    Case("full", 32, 64, "drawings"),
    Case("full", 16, 128, "drawings"),
    Case("full", 32, 64, "photographs"),
    Case("last-stage", 32, 64, "drawings"),
    Case("last-stage", 32, 64, "photographs"),
]
GPU = [
    (arch, 32, 224, strategy)
    for arch in ("resnet18", "resnet50", "resnet152")
    for strategy in ("full", "last-stage", "feature-extraction")
]


def cpu(bench: Bench) -> Iterator[Reading]:
    """Compare epochs, from the second on, with the textbook loop and a default DataLoader.

    Our epoch includes images, steps, journal and messages, with all settings at their defaults: the
    fused optimizer, images decoded once, cached features of frozen layers, and the engine's malloc
    settings. Channels-last and compiled steps gain almost nothing on the CPU
    (`benchmarks.studies.kernels`).
    """
    for strategy, batch, size, files in bench.cases(CASES):
        images = demo_images(bench) if files == "drawings" else photographs(bench)
        arguments = [bench.fresh("best"), images, strategy, batch, size]
        ours = Peer.as_an_engine(bench, "benchmarks.peers.own_epochs", *map(str, arguments))
        theirs = Textbook(images / "train", strategy, batch, size)
        try:
            pairs = interleaved(ours.seconds, theirs.epoch, bench.count(5, 1), warm=1)
        finally:
            ours.close()
        case = f"resnet18, {batch} × {size} px, {strategy}, {files}, second epoch on"
        yield ratio(pairs, case, f"{EAGER}, DataLoader by default", reach=0.8)


def gpu(bench: Bench) -> Iterator[Reading]:
    """Compare a captured bf16 channels-last step with the whole probe with the bare eager step."""
    for case in bench.cases(GPU):
        twins = PairedModels(
            *case,
            device="cuda",
            precision="bf16",
            captured=True,
            memory_format=torch.channels_last,
        )
        arch, batch, size, strategy = case
        pairs = interleaved(twins.watched, twins.bare, bench.count(60), warm=5)
        title = f"{arch}, {batch} × {size} px, {strategy}, bf16, channels-last, captured"
        yield ratio(pairs, f"{title}, with the whole probe", EAGER, reach=0.6)


ROWS = [
    Row("best-cpu", "best settings on the CPU, end to end", EAGER, cpu),
    Row("gpu-best", "a step with the probe, best settings", EAGER, gpu, needs_gpu=True),
]
