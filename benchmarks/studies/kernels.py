"""What memory format and compiling would gain: bare train steps of a ResNet-18, in turn.

    python -m benchmarks.studies.kernels [--batch 32] [--size 64]

And where the time of the eager step goes, from PyTorch's profiler. Compiling takes a minute, and
needs a C++ compiler: without one it says so, and compares what is left.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch._inductor.exc import InductorError
from torch.profiler import ProfilerActivity, profile

from benchmarks.table.row import ratio


def step_of(batch: int, size: int, *, last: bool, compiled: bool) -> Callable[[], float]:
    """A train step of the whole network with fused SGD; returns its seconds.

    Args:
        batch: Images.
        size: Their side in pixels.
        last: Weights and images in channels-last memory format.
        compiled: Through `torch.compile`.
    """
    layout = torch.channels_last if last else torch.contiguous_format
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=2).to(memory_format=layout)  # type: ignore[call-overload]
    images = torch.randn(batch, 3, size, size).contiguous(memory_format=layout)
    labels = torch.randint(0, 2, (batch,))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, fused=True)
    forward: Any = torch.compile(model) if compiled else model

    def step() -> float:
        began = time.perf_counter()
        optimizer.zero_grad()
        loss = F.cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()
        return time.perf_counter() - began

    return step


def main() -> None:
    """Print the ratios and the profile."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.kernels", description=__doc__
    )
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    for name, least in (("batch", 2), ("size", 32), ("steps", 1)):
        if getattr(options, name) < least:
            parser.error(f"--{name} {getattr(options, name)}: the least is {least}")
    steps = {
        (last, compiled): step_of(options.batch, options.size, last=last, compiled=compiled)
        for last in (False, True)
        for compiled in (False, True)
    }
    for key, step in list(steps.items()):
        try:
            print(f"{words(*key):24} first step {step():5.1f} s")
        except InductorError as error:
            print(f"{words(*key):24} not measured: {str(error).splitlines()[0]}")
            del steps[key]
            continue
        step()
    turns = [{key: step() for key, step in steps.items()} for _ in range(options.steps)]
    plain = (False, False)
    for key in steps:
        one = ratio([(turn[key], turn[plain]) for turn in turns], words(*key), "eager")
        assert one.value is not None and one.ours is not None
        print(f"{words(*key):24} {one.value:.3f} of eager ({one.low:.3f} to {one.high:.3f})")
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for _ in range(3):
            steps[plain]()
    print(seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=12))


def words(last: bool, compiled: bool) -> str:
    return f"{'channels-last' if last else 'contiguous'}, {'compiled' if compiled else 'eager'}"


if __name__ == "__main__":
    main()
