"""The rows for epochs: from cached features, and the cost that loading images adds to the steps."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.harness.measured_run import Running, Textbook, TrainedPart
from benchmarks.harness.peer_environments import PeerUnavailable
from benchmarks.harness.textbook_data import demo_images
from benchmarks.peers.turns import Peer
from benchmarks.table.row import Bench, Reading, Row, interleaved, ratio

TEXTBOOK = "the textbook frozen-backbone loop"
SIZE = 96
BATCH = 16
TOLERANCE = 1e-4
"""The relative tolerance of a loss from cached features."""


def run(bench: Bench, name: str, strategy: str, cache: str = "on", size: int = SIZE) -> Running:
    """Start a run on the demo with or without the feature cache."""
    return Running(
        bench.fresh(name),
        data=str(demo_images(bench)),
        strategy=strategy,
        batch_size=BATCH,
        image_size=size,
        device="cpu",
        feature_cache=cache,
    )


def cached(bench: Bench, strategy: str) -> Running:
    """Start a run and train its first epoch, which fills the cache."""
    running = run(bench, f"cached-{strategy}", strategy)
    running.epoch()
    return running


def head_only(bench: Bench) -> Iterator[Reading]:
    """Measure epochs from the second on, and compare the losses with those without the cache."""
    images = demo_images(bench) / "train"
    ours = cached(bench, "feature-extraction")
    case = f"head only, resnet18, {SIZE} px, second epoch on"
    try:
        for decoded, reach in ((False, 0.02), (True, None)):
            loop = Textbook(images, "feature-extraction", BATCH, SIZE, in_memory=decoded)
            name = f"{TEXTBOOK}, {'images in memory' if decoded else 'DataLoader by default'}"
            pairs = interleaved(ours.epoch, loop.epoch, bench.count(5, 1), warm=0)
            yield ratio(pairs, case, name, reach=reach)
    finally:
        ours.close()
    yield same_losses(bench, "feature-extraction")


def same_losses(bench: Bench, strategy: str) -> Reading:
    """Measure the largest relative difference between losses with and without the cache."""
    losses = []
    for cache in ("on", "off"):
        running = run(bench, f"losses-{strategy}-{cache}", strategy, cache)
        try:
            running.epoch()
            running.epoch()
        finally:
            running.close()
        losses.append(running.losses)
    apart = max(abs(a - b) / abs(b) for a, b in zip(*losses, strict=True))
    return Reading(
        f"{strategy}: largest difference of a loss",
        "the run without the cache",
        value=apart,
        unit="of it",
        count=len(losses[0]),
        reach=TOLERANCE,
    )


def last_stage(bench: Bench) -> Iterator[Reading]:
    """Compare an engine's epoch of the last stage and the head with only the trained part."""
    images = demo_images(bench)
    arguments = [bench.fresh("last-stage"), images, "last-stage", BATCH, SIZE]
    ours = Peer.as_an_engine(bench, "benchmarks.peers.own_epochs", *map(str, arguments))
    loop = Textbook(images / "train", "last-stage", BATCH, SIZE)
    part = TrainedPart(len(loop.batches), BATCH, SIZE, classes=2)
    case = f"last stage, resnet18, {SIZE} px, from cached features"
    try:
        pairs = interleaved(ours.seconds, part.epoch, bench.count(12, 1))
        yield ratio(pairs, case, "the trained part alone", reach=1.05)
        pairs = interleaved(ours.seconds, loop.epoch, bench.count(3, 1), warm=0)
        yield ratio(pairs, case, "the same loop uncached")
    finally:
        ours.close()
    yield same_losses(bench, "last-stage")


def others(bench: Bench) -> Iterator[Reading]:
    """Compare our cached epoch with a frozen-backbone epoch of fastai and of Lightning."""
    images = str(demo_images(bench) / "train")
    ours = cached(bench, "feature-extraction")
    try:
        for kind in ("fastai", "lightning"):
            case = f"head only, resnet18, {SIZE} px, second epoch on, cached"
            against = f"{kind}'s frozen-backbone epoch"
            arguments = [kind, images, str(BATCH), str(SIZE)]
            try:
                peer = Peer.start(bench, kind, [kind], "benchmarks.peers.frozen_epoch", *arguments)
            except PeerUnavailable as reason:
                yield Reading(case, against, note=f"not measured: {reason}")
                continue
            try:
                pairs = interleaved(ours.epoch, peer.seconds, bench.count(4, 1), warm=0)
            finally:
                peer.close()
            yield ratio(pairs, case, against)
    finally:
        ours.close()


def pipeline(bench: Bench) -> Iterator[Reading]:
    """Compare a run on image files with the same run on one batch in memory."""
    cases = [("full", 64), ("feature-extraction", 128), ("full", 128)]
    for strategy, size in bench.cases(cases):
        files = run(bench, f"files-{strategy}-{size}", strategy, "off", size)
        memory = run(bench, f"memory-{strategy}-{size}", strategy, "off", size).in_memory()
        try:
            files.epoch()  # fills the cache of decoded images

            def in_memory(memory: Running = memory, count: int = files.per_epoch) -> float:
                return memory.steps(count)

            pairs = interleaved(files.epoch, in_memory, bench.count(6, 1), warm=0)
        finally:
            files.close()
            memory.close()
        case = f"an epoch on images, resnet18, {BATCH} × {size} px, {strategy}"
        yield ratio(pairs, case, "the steps alone, data in memory", reach=1.05)


ROWS = [
    Row("head-epoch", "head-only epoch from cached features", TEXTBOOK, head_only),
    Row("last-stage-epoch", "last-stage epoch from cached features", "its cost alone", last_stage),
    Row("epoch-peers", "frozen-backbone epochs of others", "their own", others),
    Row("input", "the input pipeline", "the step alone on data in memory", pipeline),
]
