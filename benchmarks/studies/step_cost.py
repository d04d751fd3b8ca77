"""Compare the predicted cost of a step with the measured cost.

    python -m benchmarks.studies.step_cost [--device cuda] [--quick] [--only resnet50]

Each case (network, image size, batch size) is opened as a session of the app, with random weights
and the demo's images.

Memory: for each mask, a new process opens a session and takes the first measured step with the
engine's trainer. The step's memory is its peak minus the resident size before it: `VmHWM`, reset by
writing 5 to `/proc/self/clear_refs`, minus `VmRSS` (on CUDA, `max_memory_allocated`). Freed memory
that glibc holds is returned to the system first; otherwise it would count as used before the step,
and the step would reuse it. The prediction runs in another process. The error is relative to the
measured memory, or to 256 MiB if that is larger.

Time: the median of several steps per mask, with the masks taking turns, in the process of the
prediction and right after it.

Prints a table and writes `benchmarks/results/price-<device>.json`.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"
FLOOR = 256 << 20
"""The smallest memory, in bytes, that errors are relative to."""
CASES = (
    ("resnet18", 64, 32),
    ("resnet18", 128, 32),
    ("resnet50", 64, 32),
    ("resnet50", 128, 16),
    ("mobilenet_v3_large", 128, 32),
    ("efficientnet_b0", 128, 16),
    ("densenet121", 64, 16),
    ("vit_b_16", 224, 16),
)
GPU_CASES = (
    ("resnet18", 224, 32),
    ("resnet50", 224, 32),
    ("mobilenet_v3_large", 224, 32),
    ("efficientnet_b0", 224, 32),
    ("densenet121", 224, 32),
    ("vit_b_16", 224, 32),
)
STRATEGIES = ("feature-extraction", "last-stage", "last-two-stages", "full", "bn-only")
TIMED_STEPS = 5


@dataclass(frozen=True)
class Case:
    arch: str
    size: int
    batch: int
    device: str


def masks_of(stack: Any) -> dict[str, frozenset[int]]:
    """Return the strategies, a mask of stem and head, and two random masks."""
    from engine.model import freezing

    named = freezing.strategies(stack)
    masks = {name: named[name] for name in STRATEGIES}
    masks["stem+head"] = frozenset(stack.rows[0].owners) | masks["feature-extraction"]
    count = len(stack.owners)
    for name, share in (("a quarter", 4), ("a tenth", 10)):
        masks[name] = frozenset(random.Random(share).sample(range(count), count // share))
    return masks


# --- in child processes ---------------------------------------------------------------------------


def opened(case: Case, mask: str) -> Any:
    """Open a session as the engine does, with a strategy or with the owners of another mask."""
    import torchvision

    from engine.model.layer_stack import Stack
    from engine.session.open import open_session
    from tl_tui.protocol.config import RunConfig

    chosen: dict[str, Any] = {"strategy": mask}
    if mask not in STRATEGIES:
        import torch

        model = torchvision.models.get_model(case.arch, weights=None, num_classes=2)
        stack = Stack(model, torch.zeros(1, 3, case.size, case.size))
        chosen = {"trainable": tuple(stack.owners[i].name for i in masks_of(stack)[mask])}
    config = RunConfig(
        arch=case.arch,
        weights="none",
        device=case.device,
        image_size=None if case.arch.startswith("vit") else case.size,
        batch_size=case.batch,
        run_dir=str(Path(tempfile.mkdtemp()) / "run"),
        **chosen,
    )
    *_, session = open_session(config, lambda event: None)
    return session


def resident(name: str) -> int:
    """Return a field of /proc/self/status in bytes: VmRSS (current) or VmHWM (peak)."""
    match = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1]) << 10


def trim_memory() -> None:
    """Return freed memory that glibc holds to the system."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def measured_memory(case: Case, mask: str) -> dict[str, Any]:
    """Measure the memory of a session's first measured step."""
    import torch

    session = opened(case, mask)
    trainer, wanted = session.trainer, frozenset(session.event.trainable)
    if case.device.startswith("cuda"):
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        trainer.step(wanted, {}, measured=True)
        return {"mask": sorted(wanted), "bytes": torch.cuda.max_memory_allocated() - before}
    held = resident("VmRSS")
    trim_memory()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    trainer.step(wanted, {}, measured=True)
    return {
        "mask": sorted(wanted),
        "bytes": resident("VmHWM") - before,
        "handed_back": held - before,
    }


def predicted_and_timed(case: Case, masks: dict[str, list[int]]) -> dict[str, Any]:
    """Predict memory and time of the masks, and measure the time of their steps."""
    from engine.checks.cost.measure import measure_step_cost
    from tl_tui.estimates.cost_model import predict_step_cost, saved_bytes

    session = opened(case, "full")
    event, trainer, stack = session.event, session.trainer, session.stack
    shape = (event.batch_size, 3, event.image_size, event.image_size)
    began = time.perf_counter()
    *units, price = measure_step_cost(
        stack,
        trainer.device,
        batch_shape=shape,
        classes=len(event.classes),
        optimizer=event.recipe.optimizer,
        precision=event.recipe.precision,
    )
    assert price is not None
    seconds = time.perf_counter() - began
    parents = [owner.parents for owner in stack.owners]
    taken: dict[str, list[float]] = {name: [] for name in masks}
    for number in range(TIMED_STEPS + 1):
        for name, mask in masks.items():
            # The first step with a mask allocates its gradients and optimizer state.
            trainer.step(frozenset(mask), {}, measured=False)
            result = trainer.step(frozenset(mask), {}, measured=False)
            if number:
                taken[name].append(1e3 * result.seconds)
    found = {}
    for name, mask in masks.items():
        prediction = predict_step_cost(price, parents, mask)
        found[name] = {
            "predicted_bytes": prediction.peak_bytes,
            "saved_bytes": saved_bytes(price, parents, mask),
            "predicted_ms": prediction.step_ms,
            "measured_ms": statistics.median(taken[name]),
        }
    return {"units": len(units), "seconds": seconds, "owners": len(parents), "masks": found}


def in_process(what: str, case: Case, argument: Any) -> dict[str, Any]:
    """Measure `memory` or `time` in a new process."""
    command = [sys.executable, "-m", "benchmarks.studies.step_cost", "--child", what]
    given = json.dumps([asdict(case), argument])
    run = subprocess.run(command, input=given, capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"{case}, {argument}:\n{run.stderr}")
    return json.loads(run.stdout.splitlines()[-1])


def child(what: str) -> None:
    fields, argument = json.loads(sys.stdin.read())
    case = Case(**fields)
    work = {"memory": measured_memory, "time": predicted_and_timed}[what]
    print(json.dumps(work(case, argument)))


# --- the table ------------------------------------------------------------------------------------


def measure(case: Case) -> list[dict[str, Any]]:
    """Measure all masks of a case, and print and return their rows."""
    names = [*STRATEGIES, "stem+head", "a quarter", "a tenth"]
    memory = {name: in_process("memory", case, name) for name in names}
    timing = in_process("time", case, {name: memory[name]["mask"] for name in names})
    print(
        f"\n{case.arch}, {case.batch} × {case.size} px: {timing['owners']} owners, "
        f"cost measured in {timing['units']} units and {timing['seconds']:.1f} s"
    )
    rows = []
    for name in names:
        real, row = memory[name]["bytes"], {**asdict(case), "mask": name, **timing["masks"][name]}
        row["measured_bytes"] = real
        row["handed_back"] = memory[name].get("handed_back", 0)
        row["memory_error"] = (row["predicted_bytes"] - real) / max(real, FLOOR)
        row["time_error"] = row["predicted_ms"] / row["measured_ms"] - 1
        rows.append(row)
        print(
            f"  {name:19} {row['predicted_bytes'] / 2**20:7.0f} MiB, measured "
            f"{real / 2**20:7.0f} MiB {row['memory_error']:+7.1%}   {row['predicted_ms']:8.1f} ms, "
            f"measured {row['measured_ms']:8.1f} ms {row['time_error']:+7.1%}",
            flush=True,
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", metavar="NETWORK", help="measure only this network")
    parser.add_argument("--quick", action="store_true", help="measure only the first case")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child)
        return
    gpu = arguments.device.startswith("cuda")
    rows: list[dict[str, Any]] = []
    for arch, size, batch in (GPU_CASES if gpu else CASES)[: 1 if arguments.quick else None]:
        if arguments.only in (None, arch):
            rows += measure(Case(arch, size, batch, arguments.device))
    medians = {
        "memory": statistics.median(abs(row["memory_error"]) for row in rows),
        "memory_signed": statistics.median(row["memory_error"] for row in rows),
        "time": statistics.median(abs(row["time_error"]) for row in rows),
        "time_signed": statistics.median(row["time_error"] for row in rows),
    }
    print(
        f"\nmedian error: memory {medians['memory']:.1%} (signed {medians['memory_signed']:+.1%}), "
        f"time {medians['time']:.1%} (signed {medians['time_signed']:+.1%}); {len(rows)} masks"
    )
    if arguments.only or arguments.quick:
        return
    import torch

    result = {
        "device": torch.cuda.get_device_name() if gpu else "CPU",
        "threads": torch.get_num_threads(),
        "load": os.getloadavg(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "medians": medians,
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"price-{'cuda' if gpu else 'cpu'}.json"
    file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
