"""Measure the demo's validation accuracy over 600 training steps in tl-tui, with three seeds.

    python -m benchmarks.studies.demo_curve [--steps 600] [--seeds 3]

Does the same as `tl-tui train --weights none --strategy full`, through the engine's session, and
validates every 50 steps. Prints the results and writes `benchmarks/results/demo_curve.json`. For
the same task in plain PyTorch, see `benchmarks/studies/demo_learnability.py`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from engine.server.dispatch import Dispatcher
from tl_tui.protocol.commands import Open, Train
from tl_tui.protocol.config import RunConfig
from tl_tui.protocol.events import AnyEvent
from tl_tui.protocol.session import SessionOpened
from tl_tui.protocol.training import StepTaken, Validated

RESULTS = Path(__file__).parents[1] / "results"
EVERY = 50


def run(seed: int, steps: int, run_dir: Path) -> dict[str, object]:
    """Train with one seed. Return mean losses, and accuracies in percent by step."""
    events: list[AnyEvent] = []
    session = Dispatcher(events.append)
    config = RunConfig(
        weights="none",
        strategy="full",
        device="cpu",
        seed=seed,
        probe_every=steps,
        run_dir=str(run_dir),
    )
    session.handle(Open(id=0, config=config))
    accuracy = {}
    while session.work():
        pass
    for step in range(EVERY, steps + 1, EVERY):
        session.handle(Train(id=step, steps=step))
        while session.work():
            pass
        last = next(event for event in reversed(events) if isinstance(event, Validated))
        accuracy[str(step)] = round(100 * last.correct / last.total, 1)
    session.close()
    losses = [event.loss for event in events if isinstance(event, StepTaken)]
    opened = next(event for event in events if isinstance(event, SessionOpened))
    seconds = [event.seconds for event in events if isinstance(event, StepTaken)]
    return {
        "seed": seed,
        "lr": opened.lr_head,
        "batch": opened.batch_size,
        "size": opened.image_size,
        "median_step_s": round(statistics.median(seconds), 3),
        "loss_1_to_5": round(statistics.mean(losses[:5]), 4),
        "loss_16_to_20": round(statistics.mean(losses[15:20]), 4),
        "loss_26_to_30": round(statistics.mean(losses[25:30]), 4),
        "val_accuracy": accuracy,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    runs = []
    for seed in range(arguments.seeds):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(run(seed, arguments.steps, Path(folder) / "run"))
        print(runs[-1], flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "demo_curve.json").write_text(json.dumps(runs, indent=1) + "\n")


if __name__ == "__main__":
    main()
