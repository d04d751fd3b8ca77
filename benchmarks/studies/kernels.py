"""Measure the gain of channels-last and of compiling, on bare training steps of a ResNet-18.

    python -m benchmarks.studies.kernels [--batch 32] [--size 64]

Also prints PyTorch's profile of the eager step. Compiling takes a minute and needs a C++ compiler;
without one, the compiled steps are reported as not measured.
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
    """Return a function that takes a training step of all layers and returns its seconds.

    Args:
        batch: The number of images.
        size: The side of the images in pixels.
        last: Whether weights and images use the channels-last memory format.
        compiled: Whether to use `torch.compile`.
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
            parser.error(f"--{name} {getattr(options, name)}: must be at least {least}")
    steps = {
        (last, compiled): step_of(options.batch, options.size, last=last, compiled=compiled)
        for last in (False, True)
        for compiled in (False, True)
    }
    for key, step in list(steps.items()):
        try:
            print(f"{variant_text(*key):24} first step {step():5.1f} s")
        except InductorError as error:
            print(f"{variant_text(*key):24} not measured: {str(error).splitlines()[0]}")
            del steps[key]
            continue
        step()
    turns = [{key: step() for key, step in steps.items()} for _ in range(options.steps)]
    plain = (False, False)
    for key in steps:
        name = variant_text(*key)
        reading = ratio([(turn[key], turn[plain]) for turn in turns], name, "eager")
        assert reading.value is not None
        print(f"{name:24} {reading.value:.3f} of eager ({reading.low:.3f} to {reading.high:.3f})")
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(3):
            steps[plain]()
    print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=12))


def variant_text(last: bool, compiled: bool) -> str:
    return f"{'channels-last' if last else 'contiguous'}, {'compiled' if compiled else 'eager'}"


if __name__ == "__main__":
    main()
