"""Train on a folder of real photographs, without a screen and on the screen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from PIL import Image
from safetensors import safe_open
from torchvision.transforms._presets import ImageClassification

from tests.support.command_line import isolated_environment, open_terminal, run, strict
from tests.support.photographs import faces_or_not
from tests.support.pseudo_terminal import Terminal
from tests.system.conftest import Opener

SMALL = ["--weights", "none", "--image-size", "32"]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faces_or_not(tmp_path_factory.mktemp("photographs") / "faces")


def train(photographs: Path, tmp_path: Path, *options: str) -> list[dict[str, Any]]:
    """Run `tl-tui train --json` on the photographs and return its lines."""
    done = run(
        *("train", photographs, *SMALL, "--json", "--run-dir", tmp_path / "run", *options),
        env=isolated_environment(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    return strict(done.stdout)


def right_by_hand(checkpoint: Path, photographs: Path, journal: Path) -> int:
    """Count the validation images that plain torchvision classifies correctly with a checkpoint."""
    with safe_open(checkpoint, framework="pt") as file:
        about = json.loads(file.metadata()["tl-tui"])
        state = {
            name.removeprefix("model/"): file.get_tensor(name)
            for name in file.keys()  # noqa: SIM118
            if name.startswith("model/")
        }
    model = torchvision.models.get_model(about["arch"], num_classes=len(about["classes"]))
    model.load_state_dict(state)
    model.eval()
    words = about["transform"]
    transform = ImageClassification(
        crop_size=words["crop_size"],
        resize_size=words["resize_size"],
        mean=tuple(words["mean"]),
        std=tuple(words["std"]),
    )
    config = json.loads((journal.parent / "config.json").read_text())
    assert config["classes"] == about["classes"]
    from engine.data.dataset.image_folder import open_folder

    right = 0
    for path, label in open_folder(photographs).val:
        with Image.open(path) as image:
            pixels = transform(image.convert("RGB"))
        with torch.no_grad():
            right += int(model(pixels[None]).argmax()) == label
    return right


def test_the_best_checkpoint_reaches_the_reported_accuracy_with_plain_torchvision(
    photographs: Path, tmp_path: Path
) -> None:
    lines = train(
        photographs, tmp_path, "--epochs", "4", "--augmentation", "light",
        "--lr-schedule", "one-cycle", "--optimizer", "adamw", "--balance",
    )  # fmt: skip
    validations = [line for line in lines if line["event"] == "validation"]
    assert [line["epoch"] for line in validations] == [1, 2, 3, 4]
    best = [line for line in validations if line["best"]][-1]
    assert set(best["per_class"]) == {"face", "no face"}
    assert best["total"] == 40 and best["skipped_images"] == 0
    low, high = best["interval"]
    assert 0.5 < low <= best["accuracy"] <= high, "better than chance, for certain"
    assert best["majority"] == best["chance"] == 0.5
    run = tmp_path / "run"
    best_file = run / "checkpoints" / "best.safetensors"
    assert right_by_hand(best_file, photographs, run / "journal.jsonl") == best["correct"]
    factors = [line["lr_factor"] for line in lines if line["event"] == "step"]
    assert factors[0] < max(factors) > factors[-1]


@pytest.mark.thorough
def test_cross_validation_validates_every_photograph_once(
    photographs: Path, tmp_path: Path
) -> None:
    lines = train(
        photographs, tmp_path, "--folds", "4", "--steps", "6", "--strategy", "feature-extraction"
    )
    folds = [line for line in lines if line["event"] == "fold"]
    assert [fold["total"] for fold in folds] == [50] * 4
    (total,) = [line for line in lines if line["event"] == "folds"]
    assert total["total"] == 200
    assert total["correct"] == sum(fold["correct"] for fold in folds)


# --- on the screen ------------------------------------------------------------------------------


@pytest.fixture
def screen(environment: dict[str, str], photographs: Path) -> Iterator[Opener]:
    """Open `tl-tui` on the photographs, or on other images; close it after the test."""
    opened: list[Terminal] = []

    def open_app(*options: str, data: Path = photographs) -> Terminal:
        words = (data, *SMALL, *options)
        opened.append(open_terminal(*words, columns=120, rows=40, env=environment))
        return opened[-1]

    yield open_app
    for terminal in opened:
        terminal.close()


@pytest.mark.thorough
def test_r_trains_to_the_end_and_the_results_can_be_opened(screen: Opener, tmp_path: Path) -> None:
    run = tmp_path / "run"
    terminal = screen("--epochs", "2", "--run-dir", str(run))
    terminal.wait_for("Press t")
    terminal.press("r")
    terminal.wait_for(r"epoch \d of 2")
    terminal.wait_for(r"2 epochs done")
    terminal.wait_for(r"\d+ of 40")
    terminal.press("e")
    terminal.wait_for(r"\[summary\]")
    terminal.wait_for(r"\d+ of 40, .* \(")
    terminal.press("tab")
    terminal.wait_for("no face")
    terminal.press("escape")
    terminal.wait_for("gradient flow")
    terminal.press("v")
    terminal.wait_for(r"\.png")
    terminal.press("escape")
    terminal.wait_for("gradient flow")
    assert (run / "checkpoints" / "best.safetensors").exists()
    terminal.press("q")
    terminal.wait_for(r"Leave\?")
    terminal.press("q")
    assert terminal.wait_exit() == 0
    assert terminal.restored


@pytest.mark.thorough
def test_leaving_during_training_saves_the_last_step(
    screen: Opener, photographs: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    terminal = screen("--run-dir", str(run), "--epochs", "50")
    terminal.wait_for("Press t")
    terminal.press("r")
    terminal.wait_for(r"step [2-9]")
    terminal.press("ctrl+c", "ctrl+c")
    terminal.wait_exit()
    with safe_open(run / "checkpoints" / "last.safetensors", framework="pt") as file:
        about = json.loads(file.metadata()["tl-tui"])
    lines = (run / "journal.jsonl").read_text().splitlines()
    steps = [line for line in map(json.loads, lines) if line["event"] == "step"]
    assert about["step"] == steps[-1]["step"] >= 2


FILES = 20_000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty thousand tiny images, half of them dark and half light."""
    root = tmp_path_factory.mktemp("many")
    for name, level in (("dark", 40), ("light", 220)):
        (root / name).mkdir()
        image = root / f"{name}.png"
        Image.new("RGB", (8, 8), (level, level, level)).save(image)
        pixels = image.read_bytes()
        image.unlink()
        for number in range(FILES // 2):
            (root / name / f"{number:05}.png").write_bytes(pixels)
    return root


@pytest.mark.thorough
def test_no_key_is_lost_with_twenty_thousand_files(screen: Opener, many: Path) -> None:
    terminal = screen("--strategy", "feature-extraction", data=many)
    # While the images are listed, help opens and closes at once.
    terminal.wait_for("torch")
    terminal.press("?")
    terminal.wait_for("(?i)keys")
    terminal.press("escape")
    terminal.wait_for("Press t")
    terminal.wait_for(r"16,?000")
    terminal.press("r")
    terminal.wait_for(r"step \d")
    # During training, seven layers are thawed; every key must have its effect.
    for _ in range(7):
        terminal.press("down", "space")
    terminal.wait_until(
        lambda: terminal.text.count("→ train") + terminal.text.count(" train ") >= 8,
        "seven thawed layers and the head",
    )
    terminal.press("u", "u", "u", "u", "u", "u", "u")
    terminal.wait_for(r"layer4.1 +(▸ +)?(→ )?frozen")
    terminal.press("r")
    terminal.wait_for("(?i)paused")
