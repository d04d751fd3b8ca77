"""A run as a plain training script: run by plain Python without tl-tui, it trains the same."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from engine.model import weights_download
from engine.server import jobs
from tests.support.command_line import run
from tests.support.driven_session import DrivenSession, draw_images
from tests.support.exported_scripts import run_scripts
from tests.support.odd_images import ODD
from tests.support.photographs import crops_of_photographs
from tests.support.run_histories import HISTORIES
from tl_tui.common.errors import Problem
from tl_tui.protocol.commands import ExportScript, RestoreLayer, SetMask, SetRecipe, Step, Train
from tl_tui.protocol.inference import ScriptWritten
from tl_tui.runs.run_reader import read_run
from tui.cli.script_check import compare_losses

pytestmark = pytest.mark.xdist_group("export_script")  # its runs are trained once

RUFF = Path(sys.executable).with_name("ruff")


def session(run: Path, folder: Path | None, **options) -> DrivenSession:
    usual = {"weights": "none", "image_size": 32, "batch_size": 8, "run_dir": str(run)}
    usual |= {} if options.get("weights") else {"arch": "shufflenet_v2_x0_5"}
    data = {} if folder is None else {"data": str(folder)}
    return DrivenSession(**(usual | data | options))


def export(run: Path, script: Path, **fields) -> ScriptWritten:
    events = list(jobs.start_job(ExportScript(id=1, run=str(run), path=str(script), **fields)))
    (written,) = [event for event in events if isinstance(event, ScriptWritten)]
    return written


# --- runs of all kinds --------------------------------------------------------------------------


def of_history(name: str) -> Callable[[Path, Path], None]:
    def make(run: Path, folder: Path) -> None:
        options, history = HISTORIES[name]
        driven = session(run, folder, **options)
        for action in history(driven):
            action(driven)
        driven.session.close()

    return make


def labels_file(run: Path, folder: Path) -> None:
    labels = folder / "labels.csv"
    with open(labels, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["label", "path"])
        for path in sorted((folder / "train").rglob("*.png"), key=lambda path: path.name):
            table.writerow([path.parent.name, path.relative_to(folder)])
    driven = session(run, folder, labels=str(labels), optimizer="adamw", lr_schedule="one-cycle")
    driven.do(Train, steps=4)
    driven.session.close()


def the_demo(run: Path, folder: Path) -> None:
    driven = session(run, None, batch_size=32)
    driven.do(Train, steps=2)
    driven.session.close()


def weights_file(run: Path, folder: Path) -> None:
    torch.manual_seed(3)
    torch.save(torchvision.models.resnet18().state_dict(), run.with_suffix(".pth"))
    weights = str(run.with_suffix(".pth"))
    driven = session(run, folder, weights=weights, strategy="last-two-stages", lr_decay=0.5)
    driven.do(Train, steps=2)
    driven.do(SetMask, trainable=())  # nothing trains for a step
    driven.do(Step)
    driven.do(SetMask, trainable=driven.opened.trainable)
    layer4 = [i for i, o in enumerate(driven.opened.stack.owners) if o.name.startswith("layer4")]
    driven.do(RestoreLayer, owners=tuple(layer4))
    driven.do(Step)
    driven.do(Step)
    driven.session.close()


def entry_of_torchvision(run: Path, folder: Path) -> None:
    driven = session(run, folder, weights="IMAGENET1K_V1", augmentation="light")
    driven.do(Train, steps=4)
    driven.session.close()


def two_mask_changes(run: Path, folder: Path) -> None:
    driven = session(run, folder, weights="IMAGENET1K_V1")
    named = driven.opened.strategies
    driven.do(Train, steps=3)
    for strategy in ("last-stage", "last-two-stages"):
        driven.do(SetMask, trainable=named[strategy], strategy=strategy)
        driven.do(Step)
    driven.session.close()


def rough_folder(run: Path, folder: Path) -> None:
    """No val/, a folder in a folder, images of every mode and format, no image at all."""
    rough = run.with_name("rough images")
    random = np.random.default_rng(1)
    for label, level in (("a", 40), ("b's", 220)):
        (rough / label / "more").mkdir(parents=True)
        for number in range(11):
            pixels = random.integers(level - 40, level + 35, (30, 44, 3), dtype=np.uint8)
            place = rough / label / ("more" if number % 3 else ".") / f"{number}.PNG"
            Image.fromarray(pixels).save(place)
    for number, (name, write) in enumerate(ODD.items()):
        write(rough / ("a" if number % 2 else "b's") / name, number)
    (rough / "a" / "broken.png").write_bytes(b"no image at all")
    driven = session(run, rough, strategy="bn-only")
    driven.do(Train, steps=5)
    driven.session.close()


def gone_on_with(run: Path, folder: Path) -> None:
    driven = session(run, folder, epochs=2, lr_schedule="cosine")
    driven.do(Train, steps=4)
    driven.session.close()
    driven = DrivenSession.resumed(run, trainable=("fc", "stage2"), epochs=3, checkpoint="last")
    driven.do(Step)
    recipe = driven.opened.recipe
    driven.do(SetRecipe, recipe=type(recipe)(**(recipe_fields(recipe) | {"optimizer": "adamw"})))
    driven.do(Train, steps=7)
    driven.session.close()
    driven = DrivenSession.resumed(run, checkpoint="best")
    driven.do(Step)
    driven.session.close()


def recipe_fields(recipe) -> dict:
    return {name: getattr(recipe, name) for name in recipe.__struct_fields__}


def with_dropout(run: Path, folder: Path) -> None:
    layers = ("features.12", "classifier.0")
    driven = session(run, folder, arch="mobilenet_v3_small", trainable=layers)
    driven.do(Train, steps=3)
    driven.session.close()


def channels_last(run: Path, folder: Path) -> None:
    driven = session(run, folder, strategy="full", memory_format="channels-last")
    driven.do(Train, steps=3)
    driven.session.close()


def photographs(run: Path, folder: Path) -> None:
    """All layers at a high rate: other kernels of the optimizer soon give other losses."""
    crops = crops_of_photographs(run.with_name("crops of photographs"), 10)
    driven = session(run, crops, strategy="full", lr=0.02, lr_pretrained=0.02)
    driven.do(Train, steps=12)
    driven.session.close()


KINDS: dict[str, Callable[[Path, Path], None]] = {
    **{name: of_history(name) for name in HISTORIES},
    "labels": labels_file,
    "demo": the_demo,
    "file": weights_file,
    "entry": entry_of_torchvision,
    "lesson": two_mask_changes,
    "rough": rough_folder,
    "resumed": gone_on_with,
    "dropout": with_dropout,
    "channels-last": channels_last,
    "photographs": photographs,
}


class Exported:
    """All these runs, their scripts, and the losses that the scripts print."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.written: dict[str, ScriptWritten] = {}
        folder = draw_images(root / "images")
        for name, make in KINDS.items():
            make(root / name, folder)
            self.written[name] = export(root / name, self.script(name))
        losses = run_scripts(*map(self.script, KINDS), cwd=root)
        self.losses = dict(zip(KINDS, losses, strict=True))

    def script(self, name: str) -> Path:
        return self.root / f"{name}.py"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    root = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(root / "torch"))
        patch.setattr(
            weights_download, "verify", lambda path, prefix: True
        )  # they are none of ImageNet's
        cached = weights_download.cached_path(
            weights_download.weights_file("resnet18", "IMAGENET1K_V1").name
        )
        cached.parent.mkdir(parents=True)
        torch.manual_seed(5)
        torch.save(torchvision.models.resnet18().state_dict(), cached)
        return Exported(root)


# --- what must hold -----------------------------------------------------------------------------


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", KINDS)
def test_a_script_has_the_losses_of_the_run(name: str, exported: Exported) -> None:
    journal = read_run(exported.root / name).starts[-1].losses
    assert len(journal) >= 2
    comparison = compare_losses(journal, exported.losses[name])
    assert comparison.agrees and comparison.equal == len(journal), (journal, exported.losses[name])


@pytest.mark.parametrize("name", KINDS)
def test_a_script_passes_ruff_and_fits_100_columns(name: str, exported: Exported) -> None:
    script, text = exported.script(name), exported.script(name).read_text()
    own = [line for line in text.splitlines() if str(exported.root.parent) not in line]
    assert max(map(len, own)) <= 100
    # How long a path is, is the user's affair; one with a space in it cannot be broken.
    rules = ["--isolated", "--select", "E,F,I,UP,B", "--ignore", "E501"]
    subprocess.run([RUFF, "check", "--no-cache", *rules, script], check=True)
    subprocess.run(
        [RUFF, "format", "--check", "--isolated", "--line-length", "100", script], check=True
    )
    assert exported.written[name].lines == text.count("\n")


def test_a_script_contains_only_what_the_run_used(exported: Exported) -> None:
    plain = exported.script("entry").read_text()
    assert "resnet18(weights=weights)" in plain
    assert "ResNet18_Weights.IMAGENET1K_V1" in plain
    assert "parameter.requires_grad = False" in plain
    assert "model.fc = nn.Linear(model.fc.in_features, len(CLASSES))" in plain
    for word in ("PHASES", "lr_factor", "balanced", "momentum = None", "csv", "UNREADABLE"):
        assert word not in plain
    demo = exported.script("demo").read_text()
    assert "augment" not in demo and len(demo.splitlines()) <= 160
    assert "last of its 2 starts" in exported.script("starts").read_text().replace("\n", " ")


def test_starting_weights_are_saved_next_to_the_script(exported: Exported) -> None:
    (beside,) = exported.written["file"].extra_files
    assert Path(beside).name == "file.weights.pth"
    state = torch.load(beside, weights_only=True)
    assert "conv1.weight" in state and "fc.weight" not in state
    assert exported.written["entry"].extra_files == ()


def test_a_script_that_cannot_be_written_is_refused_with_the_reason(
    exported: Exported, tmp_path: Path
) -> None:
    run, script = exported.root / "masks", tmp_path / "train.py"

    def refused(path: Path = script, run: Path = run, **fields) -> str:
        with pytest.raises(Problem) as caught:
            export(run, path, **fields)
        return str(caught.value)

    assert "there is no folder" in refused(tmp_path / "none" / "train.py")
    assert "is a folder" in refused(tmp_path)
    assert "ends in .py" in refused(tmp_path / "train.txt")
    assert "There is no run" in refused(run=tmp_path / "nothing")
    script.write_text("mine")
    assert "--force" in refused() and script.read_text() == "mine"
    export(run, script, force=True)
    assert script.read_text().startswith('"""Transfer learning')
    other = draw_images(tmp_path / "images", train=11)
    assert "not those of the run" in refused(force=True, data=str(other))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_images_that_a_folder_scan_would_miss_are_listed_in_a_file(tmp_path: Path) -> None:
    folder = draw_images(tmp_path / "images")
    shutil.copy(folder / "train" / "dark" / "000.png", folder / "train" / "dark" / ".hidden.png")
    session_ = session(tmp_path / "run", folder)
    session_.do(Step)
    session_.session.close()
    (listing,) = export(tmp_path / "run", tmp_path / "train.py").extra_files
    with open(listing, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["train"] * 24 + ["val"] * 12
    assert (
        'LISTING = Path(__file__).with_name("train.images.csv")'
        in (tmp_path / "train.py").read_text()
    )


@pytest.mark.parametrize(
    ("script", "agrees", "equal"),
    [
        ([(1, 0.5), (2, math.nan)], True, 2),
        ([(1, 0.5), (2, 0.25)], False, 1),
        ([(1, 0.5001), (2, math.nan)], True, 1),
        ([(1, 0.6), (2, math.nan)], False, 1),
        ([(1, 0.5)], False, 1),
    ],
)
def test_losses_agree_within_a_tolerance(script: list, agrees: bool, equal: int) -> None:
    comparison = compare_losses([(1, 0.5), (2, math.nan)], script)
    assert (comparison.agrees, comparison.equal) == (agrees, equal)


@pytest.mark.timeout(900)
def test_check_runs_the_script_and_reports_a_difference(
    exported: Exported, environment: dict[str, str], tmp_path: Path
) -> None:
    def tl_tui(*words: str) -> subprocess.CompletedProcess[str]:
        return run("export", *words, env=environment, cwd=folder)

    folder = tmp_path / "folder"
    shutil.copytree(exported.root / "channels-last", folder / "run")
    done = tl_tui("run", "-o", "train.py", "--check")
    assert done.returncode == 0, done.stderr
    assert "Checked: all 3 losses are bit-identical to the journal's." in done.stdout
    lines = [re.sub(r", .* left$", "", line) for line in done.stderr.splitlines()]
    assert lines == [
        "Checking: the script starts.",
        "Checking: step 1 of 3",
        "Checking: step 2 of 3",
        "Checking: step 3 of 3",
    ]
    assert sorted(path.name for path in folder.iterdir()) == ["run", "train.py"]
    again = tl_tui("run", "-o", "train.py")
    assert again.returncode == 2 and "--force" in again.stderr
    journal = folder / "run" / "journal.jsonl"
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    for event in events:
        if event["event"] == "step":
            event["loss"] = 9.0
    journal.write_text("".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events))
    wrong = tl_tui("run", "-o", "train.py", "--check", "--force")
    assert wrong.returncode == 1
    assert "does not train like the run" in wrong.stdout
