"""Epochs of tl-tui, measured alternately with a peer's; runs in an engine's environment.

python -m benchmarks.peers.own_epochs FOLDER IMAGES STRATEGY BATCH SIZE
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.harness.measured_run import Running
from benchmarks.peers.turns import take_turns


def main() -> None:
    """Train one epoch per turn and report its seconds."""
    folder, images, strategy, batch, size = sys.argv[1:]
    running = Running(
        Path(folder),
        data=images,
        strategy=strategy,
        batch_size=int(batch),
        image_size=int(size),
        device="cpu",
    )
    take_turns(lambda: {"seconds": running.epoch()})


if __name__ == "__main__":
    main()
