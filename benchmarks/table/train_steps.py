"""The rows for the cost of the probe and of other tools' instruments, relative to a plain step."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.harness.measured_run import Running
from benchmarks.harness.paired_steps import PairedModels
from benchmarks.harness.peer_environments import PeerUnavailable
from benchmarks.peers.turns import Peer
from benchmarks.table.row import Bench, Reading, Row, interleaved, ratio

PLAIN = "plain PyTorch step"
CASES = [
    ("resnet18", 16, 64, "feature-extraction"),
    ("resnet18", 32, 128, "feature-extraction"),
    ("resnet18", 32, 128, "last-stage"),
    ("resnet18", 32, 128, "full"),
]
SMALL = [
    ("resnet18", batch, 64, strategy) for batch in (4, 16) for strategy in ("last-stage", "full")
]
GPU = [
    (arch, 32, 224, strategy)
    for arch in ("resnet18", "resnet50", "resnet152")
    for strategy in ("feature-extraction", "last-stage", "full")
]
RUN_STEPS = 10
"""The number of steps of a run that are timed together; the probe measures one of them."""
Case = tuple[str, int, int, str]


def title(case: Case) -> str:
    arch, batch, size, strategy = case
    return f"{arch}, {batch} × {size} px, {strategy}"


def watched(bench: Bench, cases: list[Case], reach: float) -> Iterator[Reading]:
    """Compare the step with the whole probe with the plain step."""
    for case in bench.cases(cases):
        twins = PairedModels(*case)
        count = bench.count(100 if case[1] * case[2] < 2000 else 24)
        pairs = interleaved(twins.watched, twins.bare, count, warm=3)
        yield ratio(pairs, title(case), PLAIN, reach=reach)


def on_a_gpu(bench: Bench) -> Iterator[Reading]:
    """Compare a run's step (replayed from a graph) and `t`'s step (eager) with the plain step."""
    for case in bench.cases(GPU):
        for captured in (True, False):
            twins = PairedModels(*case, device="cuda", captured=captured)
            pairs = interleaved(twins.watched, twins.bare, bench.count(60), warm=4)
            how = "captured" if captured else "eager, as a single step is"
            yield ratio(pairs, f"{title(case)}, {how}", PLAIN, reach=1.02 if captured else None)


def run_cadence(bench: Bench, cases: list[Case], device: str) -> Iterator[Reading]:
    """Compare ten steps of a run with ten plain steps."""
    for number, case in enumerate(bench.cases(cases)):
        twins = PairedModels(*case, device=device)
        arch, batch, size, strategy = case
        running = Running(
            bench.fresh(f"run-{device}-{number}"),
            arch=arch,
            batch_size=batch,
            image_size=size,
            strategy=strategy,
            device=device,
            lr=1e-5,
            feature_cache="off",
        ).in_memory()

        def ten(twins: PairedModels = twins) -> float:
            return sum(twins.bare() for _ in range(RUN_STEPS))

        try:
            count = bench.count(
                24 if case[1] * case[2] < 2000 else 10 if device == "cuda" else 6, 1
            )
            pairs = interleaved(lambda running=running: running.steps(RUN_STEPS), ten, count)
        finally:
            running.close()
        yield ratio(pairs, f"{title(case)}, {RUN_STEPS} steps", PLAIN, reach=1.02)


INSTRUMENTS = {
    "wandb.watch(log='gradients', log_freq=1), offline": ("wandb", ["wandb"]),
    "TensorBoard add_histogram of every gradient": ("tensorboard", ["tensorboard"]),
    "gradviz": ("gradviz", ["gradviz"]),
}


def peers(bench: Bench) -> Iterator[Reading]:
    """Compare each tool's instruments with the plain step in the same process."""
    for strategy in ("full", "feature-extraction")[: 1 if bench.quick else 2]:
        case = ("resnet18", 16, 64, strategy)
        open_peers: dict[str, Peer] = {}
        for name, (package, requirements) in INSTRUMENTS.items():
            arguments = [package, strategy, str(bench.folder(package))]
            try:
                open_peers[name] = Peer.start(
                    bench, package, requirements, "benchmarks.peers.instruments", *arguments
                )
            except PeerUnavailable as reason:
                yield Reading(title(case), PLAIN, note=f"{name} was not measured: {reason}")
        ours = PairedModels(*case)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in open_peers}
        mine: list[tuple[float, float]] = []
        try:
            for _ in range(bench.count(40)):
                # One warm-up pair, because another program has just displaced the caches.
                mine += interleaved(ours.watched, ours.bare, 2, warm=1)
                for name, peer in list(open_peers.items()):
                    answer = peer.ask()
                    found[name].append((answer["with"], answer["bare"]))
        finally:
            for peer in open_peers.values():
                peer.close()
        if open_peers:
            yield ratio(mine, f"tl-tui's probe: {title(case)}", PLAIN)
        for name, pairs in found.items():
            yield ratio(pairs, f"{name}: {title(case)}", PLAIN)


ROWS = [
    Row(
        "probe",
        "a step with the whole probe",
        PLAIN,
        lambda bench: watched(bench, CASES, 1.02),
    ),
    Row(
        "probe-small",
        "a small step with the whole probe",
        PLAIN,
        lambda bench: watched(bench, SMALL, 1.10),
    ),
    Row(
        "run-cadence",
        "a run at its default probe cadence",
        PLAIN,
        lambda bench: run_cadence(bench, [*CASES, *SMALL], "cpu"),
    ),
    Row("probe-peers", "the instruments of others", PLAIN, peers),
    Row(
        "gpu-probe",
        "a step with the whole probe, on a GPU",
        PLAIN,
        on_a_gpu,
        needs_gpu=True,
    ),
    Row(
        "gpu-run-cadence",
        "a run at its default probe cadence, on a GPU",
        PLAIN,
        lambda bench: run_cadence(bench, GPU, "cuda"),
        needs_gpu=True,
    ),
]
