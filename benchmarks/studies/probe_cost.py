"""Measure the cost of the probe: measured and bare steps, alternately.

    python -m benchmarks.studies.probe_cost [--device cuda] [--pairs 30]

Prints a table and writes `benchmarks/results/probe-<device>.json`. A ratio is the median over pairs
of measured / bare, so that a drift of the machine's speed affects both.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import torch
import torchvision

from engine.data.batch_order import Cursor
from engine.data.batches import Batch
from engine.model import freezing
from engine.model.layer_stack import Stack
from engine.training.trainer import Trainer
from tl_tui.protocol.config import Recipe

RESULTS = Path(__file__).parents[1] / "results"


class OneBatch:
    """The same random images at every step, so that only the step itself is timed."""

    cursor = Cursor(0, 0)

    def __init__(self, count: int, size: int) -> None:
        images = torch.randn(count, 3, size, size)
        self.batch = Batch(images, torch.randint(0, 2, (count,)), epoch=1)

    def take(self, *, within_epoch: bool = False) -> Batch:
        return self.batch

    def put_back(self, cursor: Cursor) -> None:
        """Do nothing; the batch is always the same."""


def seconds(trainer: Trainer, mask: freezing.Mask, measured: bool) -> float:
    """Take one step and wait for the device. Return the seconds."""
    began = time.perf_counter()
    trainer.step(mask, {}, measured=measured)
    if trainer.device.type == "cuda":
        torch.cuda.synchronize(trainer.device)
    return time.perf_counter() - began


def measure(device: str, pairs: int, cases: list[tuple[str, int, int]]) -> list[dict]:
    """Measure the ratio of each case (arch, batch, size) with each strategy."""
    rows = []
    for arch, count, size in cases:
        torch.manual_seed(0)
        model = torchvision.models.get_model(arch, weights=None, num_classes=2).to(device)
        stack = Stack(model, torch.zeros(1, 3, size, size, device=device))
        trainer = Trainer(
            stack,
            OneBatch(count, size),  # type: ignore[arg-type]
            torch.device(device),
            Recipe(lr_head=1e-4, lr_pretrained=1e-5, weight_decay=1e-4),
        )
        for name in ("feature-extraction", "last-stage", "full"):
            mask = freezing.strategies(stack)[name]
            for _ in range(3):
                seconds(trainer, mask, True)
            bare, ratio = [], []
            for _ in range(pairs):
                plain, watched = seconds(trainer, mask, False), seconds(trainer, mask, True)
                bare.append(plain)
                ratio.append(watched / plain)
            rows.append(
                {
                    "arch": arch,
                    "batch": count,
                    "size": size,
                    "strategy": name,
                    "bare_ms": 1e3 * statistics.median(bare),
                    "ratio": statistics.median(ratio),
                }
            )
            print(
                f"{arch:10} {count:4} × {size:3} px  {name:19} bare {rows[-1]['bare_ms']:8.2f} ms"
                f"   watched / bare {rows[-1]['ratio']:.3f}",
                flush=True,
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pairs", type=int, default=20)
    arguments = parser.parse_args()
    gpu = arguments.device.startswith("cuda")
    cases = (
        [("resnet18", 32, 224), ("resnet50", 32, 224), ("resnet152", 32, 224)]
        if gpu
        else [("resnet18", 16, 64), ("resnet18", 16, 128)]
    )
    name = torch.cuda.get_device_name() if gpu else f"{torch.get_num_threads()} CPU threads"
    rows = measure(arguments.device, arguments.pairs, cases)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"probe-{'cuda' if gpu else 'cpu'}.json"
    result = {
        "device": name,
        "machine": platform.machine(),
        "torch": torch.__version__,
        "rows": rows,
    }
    file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
