"""Malicious files: weights that run code, names with escape sequences, image bombs."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import struct
import zlib
from pathlib import Path

import torch
import torchvision

from engine.model import weights_download
from engine.model.architectures import ModelProblem
from engine.model.weights import choose_weights
from tests.faults.fault_table import Place, fault
from tests.faults.storage import environment
from tests.faults.training import SMALL, STEPS, losses, reference, train
from tests.support.command_line import open_terminal, run

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07",
    "\x1b[31mred",
    "\x9b31mred",
    "[red]hot[/red]",
    "[@click=app.exit]x[/]",
    "new\nline",
    "bell\x07",
    "\x1b]52;c;b3duZWQ=\x07",
    "back\b\b\b\bspace",
    "\u202eright to left",
)
"""Names of class folders."""
CONTROL = re.compile(r"\x1b\]|\x07|\x9b|\x1b\[2J|\x1b\[31m")


class _Code:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.file),)


@fault("weights file that would run code", full=50)
def code_in_weights(place: Place) -> int:
    """In a pickle, in a file by torch.save, in a state dict, and in torchvision's cache."""
    ran = place.folder / "ran"
    plain, saved, within = (place.folder / f"{name}.pth" for name in ("plain", "saved", "within"))
    plain.write_bytes(pickle.dumps(_Code(ran), protocol=2))
    torch.save(_Code(ran), saved)
    state = torchvision.models.resnet18().state_dict()
    torch.save({**state, "fc.bias": _Code(ran)}, within)
    for file in (plain, saved, within):
        try:
            choose_weights("resnet18", str(file), embedded_demo=False)
        except ModelProblem as problem:
            assert "would run code" in str(problem), problem
        else:
            raise AssertionError(f"{file.name} was taken")
    with environment(TORCH_HOME=str(place.folder / "torch")):
        cached = weights_download.cached_path(weights_download.weights_file("resnet18").name)
        cached.parent.mkdir(parents=True)
        shutil.copy(saved, cached)
        try:
            choose_weights("resnet18", "default", embedded_demo=False)
        except ModelProblem as problem:
            assert "hash" in str(problem), problem
        else:
            raise AssertionError("a file with another hash was taken from the cache")
    assert not ran.exists(), "code of a weights file ran"
    return 4


def _hostile_images(place: Place) -> Path:
    images, names = place.folder / "images", place.random.sample(HOSTILE, 2)
    for part in ("train", "val"):
        for source, name in zip(("dark", "light"), names, strict=True):
            shutil.copytree(place.images / part / source, images / part / name)
    victim = sorted((images / "train" / names[0]).iterdir())[0]
    victim.write_bytes(b"no image")
    victim.rename(victim.with_name(f"{place.random.choice(HOSTILE).replace('/', '_')}.png"))
    return images


@fault("escape sequences and markup in names, without a screen", full=10, like="on the screen")
def names_without_screen(place: Place) -> None:
    done = run("train", _hostile_images(place), *SMALL, env=place.environment)
    assert done.returncode == 0, done.stderr
    assert not CONTROL.search(done.stdout + done.stderr)
    assert "no image" in done.stderr, "what was left out is named"


@fault("escape sequences and markup in names, on the screen", full=10, like="TestNames")
def names_on_screen(place: Place) -> None:
    words = (_hostile_images(place), *SMALL)
    with open_terminal(*words, columns=120, rows=40, env=place.environment) as terminal:
        terminal.wait_for(r"fc +train")
        terminal.press("t")
        terminal.wait_for(r"step 1 ")
        for key, shown in (("e", "chance and majority"), ("v", "Esc back")):
            terminal.press(key)
            terminal.wait_for(shown)
            terminal.settle()
            terminal.press("escape")
            terminal.wait_gone(shown)
        raw = bytes(terminal.raw)
        terminal.press("ctrl+c")
        terminal.wait_for("Leave")
        terminal.press("ctrl+c")
        assert terminal.wait_exit() in (0, 130)
        assert terminal.restored
    for bad in (b"\x1b]0;owned", b"\x1b]52", b"\x1b[31mred", b"\xc2\x9b", b"bell\x07"):
        where = raw.find(bad)
        assert where < 0, raw[max(0, where - 60) : where + 20]


@fault("image bomb: few bytes, very many pixels", full=10)
def image_bomb(place: Place) -> None:
    images, run = place.folder / "images", place.folder / "run"
    shutil.copytree(place.images, images)
    bomb = images / "train" / "dark" / "bomb.png"
    side = place.random.randrange(20_000, 60_000)
    bomb.write_bytes(_png(side))
    with train(place, run, images=images) as training:
        code, said = training.end()
    assert code == 0, said
    (skipped,) = [line for line in training.lines if line["event"] == "image_skipped"]
    assert "has more pixels than Pillow allows" in skipped["reason"]
    assert len(losses(run)) >= len(reference(place)) == STEPS


def _png(side: int) -> bytes:
    """Return a black PNG of `side` × `side` pixels, which takes a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compressobj(9)
    line = bytes(1 + -(-side // 8))
    packed = b"".join(rows.compress(line) for _ in range(side)) + rows.flush()
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, data) for kind, data in ((b"IHDR", head), (b"IDAT", packed), (b"IEND", b""))
    )
