"""Each row's theoretical floor, and the prediction made before it was measured."""

from __future__ import annotations

from typing import NamedTuple


class Expectation(NamedTuple):
    floor: str
    predicted: str


EXPECTATIONS = {
    "probe": Expectation(
        "gradients, old and new weights are read once more: under 1 % of a step of 32 × 128 px",
        "1.01 head only, 1.00 to 1.02 full",
    ),
    "probe-small": Expectation(
        "reading 11.7 M gradients once is 1.5 ms: 1.03 of the smallest step",
        "1.08 to 1.14 last stage, 1.13 to 1.30 full, written straightforwardly",
    ),
    "run-cadence": Expectation(
        "a tenth of the probe's, and a journal line and a message a step",
        "1.01; 1.03 at 4 × 64 px",
    ),
    "probe-peers": Expectation(
        "as above", "1.19 gradviz, 1.84 wandb.watch, 2.39 TensorBoard (full, in an earlier run)"
    ),
    "gpu-probe": Expectation(
        "a plain step is bound by launching its kernels: from a graph it takes 0.62 to 0.90",
        "1.02 at 32 × 224 px",
    ),
    "gpu-run-cadence": Expectation("as above", "1.01"),
    "best-cpu": Expectation(
        "the trained part in the fastest kernels; images decoded once",
        "0.9 before channels-last and cached images, 0.7 with both",
    ),
    "gpu-best": Expectation("its graph alone: 0.34 to 0.48", "0.4 to 0.6"),
    "head-epoch": Expectation(
        "a matrix product a step: 0.002 of the textbook epoch",
        "0.01: the journal, the message and the optimizer's own cost are the rest",
    ),
    "last-stage-epoch": Expectation("1: nothing below is executed", "1.05"),
    "epoch-peers": Expectation("none of them keeps activations", "0.01 of theirs"),
    "input": Expectation(
        "1: on two cores decoding is hidden only if it is done once", "1.05 to 1.3 without a cache"
    ),
    "first-frame": Expectation(
        "Python, Textual and msgspec are imported: 0.6 s, and the engine is started beside",
        "1.3 to 1.5",
    ),
    "first-step": Expectation(
        "torch and torchvision are imported: 5 s",
        "1.3: images are listed, weights read, a step taken",
    ),
    "key-latency": Expectation(
        "the scheduler's turn on busy cores: 1.4 in a trivial app beside a training", "1.5 to 2"
    ),
    "animation-bytes": Expectation(
        "1; Textual re-sends a changed cell's row from its widget's left edge",
        "1.7 (the dots stand in a narrow widget of their own)",
    ),
    "idle": Expectation("0 bytes; Textual's own event loop: 0.25 % of a core", "0 bytes, 0.3 %"),
    "cursor-bytes": Expectation("two cells: 30 bytes; the inspector's words besides", "230 bytes"),
    "screen-memory": Expectation("Python and Textual: 38 MB", "1.2"),
    "growth-layers": Expectation("flat: 24 lines are drawn", "1.0 to 1.2"),
    "growth-history": Expectation("flat: a thousand buckets are drawn", "1.1"),
    "growth-files": Expectation("linear: a directory entry and a path a file", "1.0"),
    "growth-classes": Expectation("flat: two numbers of a class are shown", "1.0 to 1.1"),
}
