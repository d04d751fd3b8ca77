"""`tl-tui evaluate`: a run's model held against labelled images."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.support.command_line import refused, run, strict
from tests.support.driven_session import draw_tiny_images
from tests.support.trained_runs import plain_input, plain_model, run_job
from tl_tui.common.metrics import accuracy_words, interval
from tl_tui.protocol.commands import EvaluateData
from tl_tui.protocol.inference import DataEvaluated, InferenceBegan, InferenceProgressed
from tl_tui.protocol.results import WrongImage
from tui.cli.output.evaluation import print_report


@pytest.fixture
def mixed(images: Path, tmp_path: Path) -> Path:
    """Five dark squares and one light one, and of each class one that is called the other."""
    for label, source, number in (
        ("dark", "dark", 0),
        ("dark", "dark", 1),
        ("dark", "dark", 2),
        ("dark", "dark", 3),
        ("dark", "light", 4),
        ("light", "light", 0),
        ("light", "dark", 5),
    ):
        (tmp_path / "mixed" / label).mkdir(parents=True, exist_ok=True)
        there = images / "val" / source / f"{number:03}.png"
        shutil.copy(there, tmp_path / "mixed" / label / f"{source}{number}.png")
    return tmp_path / "mixed"


def evaluated(
    a_run: Path, data: Path | None, **fields: object
) -> tuple[InferenceBegan, DataEvaluated, list[InferenceProgressed]]:
    told, failure = run_job(
        EvaluateData, run=str(a_run), data=data and str(data), device="cpu", **fields
    )
    assert not failure
    began, *progress, result = told
    assert isinstance(began, InferenceBegan) and isinstance(result, DataEvaluated)
    steps = [event for event in progress if isinstance(event, InferenceProgressed)]
    assert steps[-1].done == began.images
    return began, result, steps


def failure_of(a_run: Path, data: Path | None, **fields: object) -> str:
    told, failure = run_job(
        EvaluateData, run=str(a_run), data=data and str(data), device="cpu", **fields
    )
    assert not any(isinstance(event, DataEvaluated) for event in told)
    return failure


def test_counts_and_loss_equal_those_of_plain_torchvision(a_run: Path, mixed: Path) -> None:
    model, about = plain_model(a_run)
    paths = sorted(mixed.rglob("*.png"))
    labels = torch.tensor([about["classes"].index(path.parent.name) for path in paths])
    with torch.no_grad():
        said = model(torch.stack([plain_input(path, about["transform"]) for path in paths]))
    began, result, _ = evaluated(a_run, mixed, batch_size=3)
    assert began.source == str(mixed) and began.images == result.total == 7
    assert result.correct == int((said.argmax(1) == labels).sum())
    assert result.loss == pytest.approx(
        float(torch.nn.functional.cross_entropy(said, labels)), 1e-4
    )
    counts = {(label, answer): count for label, answer, count in result.confusion}
    for label in (0, 1):
        for answer in (0, 1):
            both = (labels == label) & (said.argmax(1) == answer)
            assert counts.get((label, answer), 0) == int(both.sum())
    wrong = [str(path) for path, y, x in zip(paths, labels, said, strict=True) if x.argmax() != y]
    assert sorted(one.path for one in result.most_wrong) == wrong
    sure = [one.probability for one in result.most_wrong]
    assert sure == sorted(sure, reverse=True)


def test_test_then_val_then_all_images_are_evaluated(
    a_run: Path, images: Path, tmp_path: Path
) -> None:
    """A test/ in the folder, else a val/, else all; and what the run had to do with them."""
    own, _, _ = evaluated(a_run, images)
    assert (own.source, own.images) == (str(images / "val"), 12)
    assert "selected on these images" in own.notes[0]
    assert evaluated(a_run, images / "val")[0].notes == own.notes
    (used,) = evaluated(a_run, images / "train")[0].notes
    assert used.endswith("images were used for training: the accuracy is optimistic.")

    draw_tiny_images(
        tmp_path, "test/dark/a.png", "val/light/b.png", "train/dark/c.png", "dark/d.png"
    )
    began, result, _ = evaluated(a_run, tmp_path)
    assert (began.source, began.notes) == (str(tmp_path / "test"), ())
    assert result.per_class[1] == (0, 0)  # a class may have no images
    shutil.rmtree(tmp_path / "test")
    assert evaluated(a_run, tmp_path)[0].source == str(tmp_path / "val")
    shutil.rmtree(tmp_path / "val")
    assert f"--data {tmp_path / 'train'}" in failure_of(a_run, tmp_path)
    shutil.rmtree(tmp_path / "train")
    assert evaluated(a_run, tmp_path)[0].source == str(tmp_path)


def test_classes_are_matched_by_name(a_run: Path, images: Path, tmp_path: Path) -> None:
    """Not by their number in the folder: one that comes first, without images, shifts none."""
    (tmp_path / "aaa").mkdir()
    shutil.copytree(images / "val" / "light", tmp_path / "light")
    _, result, _ = evaluated(a_run, tmp_path)
    assert result.per_class[0][1] == 0 and result.per_class[1][1] == 6
    draw_tiny_images(tmp_path, "aaa/x.png")
    told = failure_of(a_run, tmp_path)
    assert told.endswith("the run has no class aaa; its classes are dark, light.")
    shutil.move(tmp_path / "aaa", tmp_path / "Light")
    both = "there are the folders Light and light, but the run has only the class light; merge"
    assert both in failure_of(a_run, tmp_path)


def test_a_labels_file_selects_the_images(a_run: Path, images: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    names = [(path, path.parent.name) for path in sorted((images / "val").rglob("*.png"))]
    rows = [f"{path},{label}" for path, label in names]
    file.write_text("\n".join(["path,label", *rows[:8]]))
    began, result, _ = evaluated(a_run, None, labels=str(file))
    assert result.total == 8 and "All 8 images were used for validation." in began.notes[0]
    split = [f"{row},{'val' if number < 3 else 'train'}" for number, row in enumerate(rows)]
    file.write_text("\n".join(["path,label,split", *split]))
    began, result, _ = evaluated(a_run, images, labels=str(file))
    assert result.total == 3 and began.source == f"{file}, rows marked val"
    file.write_text(f"path,label\n{names[0][0]},darc")
    assert "no class darc; did you mean dark?" in failure_of(a_run, images, labels=str(file))
    assert "there is no such file" in failure_of(a_run, images, labels=str(tmp_path / "x.csv"))


def test_data_that_cannot_be_evaluated_is_refused(a_run: Path, tmp_path: Path) -> None:
    assert "there is no such folder" in failure_of(a_run, tmp_path / "nowhere")
    assert "no class folders with images" in failure_of(a_run, tmp_path)
    assert "name a folder" in failure_of(a_run, None)
    (tmp_path / "dark").mkdir()
    (tmp_path / "dark" / "x.png").write_bytes(b"no image")
    assert "None of the 1 images" in failure_of(a_run, tmp_path)


# --- the command --------------------------------------------------------------------------------


def test_evaluate_prints_text_and_json(
    a_run: Path, mixed: Path, environment: dict[str, str]
) -> None:
    _, result, _ = evaluated(a_run, mixed)
    common = ["evaluate", a_run, "--data", mixed, "--device", "cpu"]
    words = run(*common, env=environment)
    assert (words.returncode, words.stderr) == (0, "")
    assert f"Accuracy: {accuracy_words(result.correct, 7)}; balanced ." in words.stdout
    assert "chance .50, majority .71 (dark)" in words.stdout
    assert f"  dark   {accuracy_words(*result.per_class[0])}" in words.stdout
    for one in result.most_wrong:
        assert one.path in words.stdout

    (mixed / "light" / "broken.png").write_bytes(b"no image")
    ended = run(*common, "--json", env=environment)
    assert ended.returncode == 1 and "broken.png: it is not an image" in ended.stderr
    (whole,) = strict(ended.stdout)
    assert whole["accuracy"] == result.correct / 7
    assert whole["interval"] == list(interval(result.correct, 7))
    assert whole["per_class_counts"]["dark"]["total"] == 5
    assert whole["majority"] == 5 / 7 and whole["majority_class"] == "dark"
    assert sum(row["images"] for row in whole["confusion"]) == 7
    (left_out,) = whole["unreadable"]
    assert left_out["path"] == str(mixed / "light" / "broken.png")


def test_what_is_refused(a_run: Path, environment: dict[str, str], tmp_path: Path) -> None:
    assert "--data is missing" in refused(run("evaluate", a_run, env=environment))
    draw_tiny_images(tmp_path, "cat/x.png", "dog/x.png")
    done_ = run("evaluate", a_run, "--data", tmp_path, "--device", "cpu", env=environment)
    assert "the run has no class cat" in refused(done_)


@pytest.mark.parametrize("classes", [2, 12, 1000])
def test_the_report_stays_short_for_many_classes(
    classes: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of many classes the worst and the most frequent mistakes, and no matrix."""
    names = tuple(f"class\x1b{number}" for number in range(classes))
    confusion = [(label, label, 5) for label in range(classes)]
    confusion += [(label, (label + 1) % classes, 1 + label % 3) for label in range(classes)]
    wrong = tuple(WrongImage(f"{n}\n.png", n, (n + 1) % classes, 0.9, 0.1) for n in range(classes))
    began = InferenceBegan(
        run="run",
        checkpoint="best",
        start=0,
        step=1,
        arch="resnet18",
        classes=names,
        images=1,
        device="cpu",
    )
    totals = tuple((5, 6 + label % 3) for label in range(classes))
    result = DataEvaluated(
        correct=5 * classes,
        total=sum(total for _, total in totals),
        loss=0.5,
        per_class=totals,
        confusion=tuple(sorted(confusion)),
        most_wrong=wrong[:100],
    )
    print_report(began, result, 0)
    told = capsys.readouterr().out
    assert "\x1b" not in told and len(told.splitlines()) < 60
    assert ("actual / predicted" in told) == (classes <= 12)
    assert ("most frequent mistakes" in told) == (classes > 12)


def test_exif_orientation_is_applied(a_run: Path, tmp_path: Path) -> None:
    """EXIF orientation is applied as in training."""
    (tmp_path / "dark").mkdir()
    pixels = Image.effect_noise((40, 20), 80).convert("RGB")
    pixels.save(tmp_path / "dark" / "a.png")
    turned = pixels.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "dark" / "b.png", exif=exif)
    _, result, _ = evaluated(a_run, tmp_path)
    assert result.per_class[0] in ((0, 2), (2, 2))
    assert len({one.probability for one in result.most_wrong}) <= 1
