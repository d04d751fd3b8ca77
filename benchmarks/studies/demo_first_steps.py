"""Measure how much the head learns in thirty presses of `t` on the demo, from the demo backbone.

    python -m benchmarks.studies.demo_first_steps [--seeds 5] [--lr 0.01 0.003]

Trains by feature extraction on the CPU with the defaults, through the engine's session; `--lr`
tries other learning rates of the head in addition to the default. Prints the results and writes
`benchmarks/results/demo_presses.json`: the mean losses of the first five and the last five steps,
the median seconds per step, and the accuracy on `val/` after the last step.
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
PRESSES = 30


def run(seed: int, lr: float | None, run_dir: Path) -> dict[str, object]:
    """Train with one seed and one learning rate of the head; None means the default."""
    events: list[AnyEvent] = []
    session = Dispatcher(events.append)
    config = RunConfig(
        weights="demo",
        device="cpu",
        seed=seed,
        lr=lr,
        feature_cache="off",  # because `t` runs the whole model
        run_dir=str(run_dir),
    )
    session.handle(Open(id=0, config=config))
    while session.work():
        pass
    session.handle(Train(id=1, steps=PRESSES))
    while session.work():
        pass
    session.close()
    opened = next(event for event in events if isinstance(event, SessionOpened))
    steps = [event for event in events if isinstance(event, StepTaken)]
    validated = next(event for event in events if isinstance(event, Validated))
    losses = [step.loss for step in steps]
    return {
        "seed": seed,
        "lr_head": opened.recipe.lr_head,
        "strategy": opened.strategy,
        "image_size": opened.image_size,
        "loss_1_to_5": round(statistics.mean(losses[:5]), 4),
        "loss_26_to_30": round(statistics.mean(losses[-5:]), 4),
        "median_step_s": round(statistics.median(step.seconds for step in steps), 3),
        "val_accuracy": round(100 * validated.correct / validated.total, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--lr", type=float, nargs="*", default=[])
    arguments = parser.parse_args()
    runs = []
    for lr in (None, *arguments.lr):
        for seed in range(arguments.seeds):
            with tempfile.TemporaryDirectory() as folder:
                runs.append(run(seed, lr, Path(folder) / "run"))
            print(runs[-1], flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "demo_presses.json").write_text(json.dumps(runs, indent=1) + "\n")


if __name__ == "__main__":
    main()
