"""`tl-tui predict`: what a run's model says to images."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from engine.training import checkpoint
from tests.support.command_line import open_terminal, refused, run, strict
from tests.support.driven_session import DrivenSession
from tests.support.trained_runs import SMALL, plain_input, plain_model, run_job
from tl_tui.protocol.commands import Predict, Step
from tl_tui.protocol.inference import ImagesPredicted, InferenceBegan


def asked(a_run: Path, *paths: Path, **fields: object) -> list[ImagesPredicted]:
    told, failure = run_job(
        Predict, run=str(a_run), paths=tuple(map(os.fsencode, paths)), device="cpu", **fields
    )
    assert not failure
    assert isinstance(told[0], InferenceBegan)
    answers = [event for event in told if isinstance(event, ImagesPredicted)]
    assert told[0].images == sum(len(a.images) + len(a.unreadable) for a in answers)
    return answers


def failure_of(a_run: Path | str, *paths: Path, **fields: object) -> str:
    told, failure = run_job(
        Predict, run=str(a_run), paths=tuple(map(os.fsencode, paths)), device="cpu", **fields
    )
    assert not told
    return failure


def test_probabilities_equal_those_of_plain_torchvision(a_run: Path, images: Path) -> None:
    model, about = plain_model(a_run)
    folder = images / "val"
    rows = [row for answer in asked(a_run, folder, batch_size=5) for row in answer.images]
    assert [row.path for row in rows] == [str(path) for path in sorted(folder.rglob("*.png"))]
    inputs = torch.stack([plain_input(Path(row.path), about["transform"]) for row in rows])
    with torch.no_grad():
        expected = model(inputs).softmax(1)
    said = torch.tensor([row.probabilities for row in rows])
    torch.testing.assert_close(said, expected, rtol=1e-4, atol=1e-5)


def test_predictions_arrive_batch_by_batch(a_run: Path, images: Path) -> None:
    """Nothing waits for the last image."""
    answers = asked(a_run, images / "train", batch_size=5)
    assert [len(answer.images) for answer in answers] == [5, 5, 5, 5, 4]


def test_a_checkpoint_can_be_chosen_by_name(a_run: Path, images: Path, tmp_path: Path) -> None:
    image = images / "val" / "dark" / "000.png"
    told, _ = run_job(Predict, run=str(a_run), paths=(os.fsencode(image),), checkpoint="last")
    began = told[0]
    assert isinstance(began, InferenceBegan)
    assert began.checkpoint == str(a_run / "checkpoints" / "last.safetensors")
    assert began.classes == ("dark", "light")
    assert "has no checkpoint start-7; it has best, last" in failure_of(
        a_run, image, checkpoint="start-7"
    )


def test_folders_are_searched_and_named_files_are_always_read(
    a_run: Path, images: Path, tmp_path: Path
) -> None:
    """A folder is walked with all that is in it; a file that is named is looked at in any case."""
    inside = tmp_path / "new" / "deep" / "deeper"
    inside.mkdir(parents=True)
    image = Image.open(images / "val" / "dark" / "000.png")
    image.save(inside / "a.jpg")
    image.convert("I;16").save(tmp_path / "new" / "grey.png")
    image.convert("L").save(tmp_path / "new" / "L.tif")
    image.save(tmp_path / "image without an ending", format="png")
    (tmp_path / "new" / ".hidden.png").write_bytes(b"")
    (tmp_path / "new" / "notes.txt").write_text("no image")
    (tmp_path / "new" / "empty.png").write_bytes(b"")
    (tmp_path / "new" / "half.png").write_bytes((images / "val/dark/000.png").read_bytes()[:999])
    image.save(os.fsencode(tmp_path / "new") + b"/\xe9.png", format="png")  # no UTF-8
    os.symlink(tmp_path / "new", inside / "round")
    answers = asked(
        a_run, tmp_path / "new", tmp_path / "image without an ending", tmp_path / "nowhere.png"
    )
    found = [Path(row.path).name for answer in answers for row in answer.images]
    assert found == ["L.tif", "a.jpg", "grey.png", r"\xe9.png", "image without an ending"]
    unreadable = [file for answer in answers for file in answer.unreadable]
    assert [Path(file.path).name for file in unreadable] == ["empty.png", "half.png", "nowhere.png"]
    assert [file.reason for file in unreadable][::2] == ["it is empty", "there is no such file"]


def test_requests_that_cannot_be_predicted_are_refused(
    a_run: Path, images: Path, tmp_path: Path
) -> None:
    assert "There are no images in" in failure_of(a_run, tmp_path)
    assert "there is no such image or folder" in failure_of(a_run, tmp_path / "x.png")
    image = images / "val" / "dark" / "000.png"
    assert "There is no run nowhere" in failure_of("nowhere", image)
    told, failure = run_job(Predict, run=str(a_run), paths=(os.fsencode(image),), device="tpu")
    assert not told and "choose auto, cpu" in failure


def test_weights_that_are_not_finite_are_refused(a_run: Path, images: Path, tmp_path: Path) -> None:
    saved = checkpoint.read(a_run / "checkpoints" / "best.safetensors")
    saved.snapshot.tensors["fc.bias"][0] = float("nan")
    broken = tmp_path / "broken"
    (broken / "checkpoints").mkdir(parents=True)
    (broken / "config.json").write_bytes((a_run / "config.json").read_bytes())
    about = {key: value for key, value in saved.about.items() if key != "format"}
    checkpoint.write(broken / "checkpoints" / "last.safetensors", saved.snapshot, about)
    said = failure_of(broken, images / "val")
    assert "last.safetensors: fc.bias has values that are not finite" in said


def test_predicting_does_not_change_the_next_step_of_a_session(
    a_run: Path, images: Path, tmp_path: Path
) -> None:
    """A prediction draws no random number of the session's."""

    def weights(with_prediction: bool) -> dict[str, torch.Tensor]:
        path = tmp_path / f"beside-{with_prediction}"
        driven = DrivenSession(
            data=str(images), run_dir=str(path), **SMALL | {"arch": "mobilenet_v3_small"}
        )
        if with_prediction:
            driven.do(Predict, run=str(a_run), paths=(os.fsencode(images / "val"),), device="cpu")
        driven.do(Step)
        driven.session.close()
        return load_file(path / "checkpoints" / "last.safetensors")

    alone, beside = weights(False), weights(True)
    assert all(torch.equal(alone[name], beside[name]) for name in alone)


# --- the command --------------------------------------------------------------------------------


def test_text_json_and_csv_have_the_same_predictions(
    a_run: Path, images: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    for number in range(3):
        for label in ("dark", "light"):
            source = images / "val" / label / f"{number:03}.png"
            (folder / f"{label}{number}.png").write_bytes(source.read_bytes())
    strange = folder / 'a\x1b[31m, "b"\n.png'
    strange.write_bytes((images / "val" / "dark" / "000.png").read_bytes())
    common = [a_run, folder, "--device", "cpu"]

    words = run("predict", *common, env=environment)
    assert words.returncode == 0 and words.stderr == ""
    lines = words.stdout.splitlines()
    assert len(lines) == 7 and "\x1b" not in words.stdout
    assert lines[0].endswith(r"a\x1b[31m, \"b\"\n.png".replace(r"\"", '"'))

    objects = strict(run("predict", *common, "--json", env=environment).stdout)
    assert [row["path"] for row in objects] == sorted(map(str, folder.iterdir()))
    for row, line in zip(objects, lines, strict=True):
        assert sorted(row["probabilities"]) == ["dark", "light"]
        assert row["probability"] == max(row["probabilities"].values())
        assert row["probabilities"][row["class"]] == row["probability"]
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert line.split()[1] == row["class"]

    table = run("predict", *common, "--csv", "--uncertain-first", env=environment).stdout
    rows = list(csv.DictReader(io.StringIO(table)))
    assert list(rows[0]) == ["path", "class", "probability", "p(dark)", "p(light)"]
    order = sorted(objects, key=lambda row: row["probability"])
    assert [row["path"] for row in rows] == [row["path"] for row in order]
    assert float(rows[0]["p(dark)"]) == order[0]["probabilities"]["dark"]


def test_unreadable_files_are_named_and_the_exit_code_is_1(
    a_run: Path, images: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    (new / "broken\x07.png").write_bytes(b"no image")
    (new / "notes.txt").touch()
    image = images / "val" / "dark" / "000.png"
    ended = run("predict", a_run, new, image, "--json", "--top", "1", env=environment)
    assert ended.returncode == 1
    (row,) = strict(ended.stdout)
    assert row["path"] == str(image) and len(row["probabilities"]) == 1
    left_out, line = ended.stderr.splitlines()
    assert left_out == "Left out: 1 .txt (notes.txt)."
    assert line.endswith(r"broken\x07.png: it is not an image that Pillow can read")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", "."], "There is no run nowhere"),
        (["RUN", "empty"], "There are no images in empty"),
        (["RUN", "empty", "--json", "--csv"], "choose one"),
        (["RUN"], "Missing argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_refused(
    arguments: list[str], told: str, a_run: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    given = [str(a_run) if word == "RUN" else word for word in arguments]
    assert told in refused(run("predict", *given, env=environment, cwd=tmp_path))


def test_predict_draws_a_progress_bar_on_a_terminal(
    a_run: Path, images: Path, environment: dict[str, str]
) -> None:
    command = ["predict", a_run, images / "val", "--device", "cpu"]
    with open_terminal(*command, columns=300, env=environment) as terminal:
        assert terminal.wait_exit() == 0
        assert "12/12" in terminal.raw.decode()  # the bar came to its end
        lines = [line.strip() for line in terminal.screen.display if line.strip()]
    assert len(lines) == 12  # and is gone again
    assert all(line.endswith(".png") for line in lines)
