"""`tl-tui evaluate` and `show`: measures as JSON, CSV files and pictures."""

from __future__ import annotations

import csv
import importlib.util
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib
import msgspec
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from sklearn import metrics

from tests.support.command_line import refused, run, strict
from tests.support.result_messages import measures
from tests.support.trained_runs import plain_input, plain_model
from tl_tui.common.errors import Problem
from tl_tui.protocol.inference import DataEvaluated, InferenceBegan
from tl_tui.runs.journal_lines import ValidatedLine
from tl_tui.runs.run_reader import Run, StartHistory
from tui.cli.commands import show
from tui.cli.output import pictures
from tui.cli.output.output_file import OutputFile


def texts(picture: Path) -> list[str]:
    """Return the texts of an SVG file."""
    root = ElementTree.parse(picture).getroot()
    return ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]


def test_evaluate_writes_measures_csv_files_and_a_picture(
    a_run: Path, images: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """All are those of plain torchvision and scikit-learn on the same images."""
    files = {name: tmp_path / name for name in ("rows.csv", "matrix.csv", "both.svg")}
    command = ["evaluate", a_run, "--data", images, "--device", "cpu", "--json"]
    command += ["--per-image-csv", files["rows.csv"], "--confusion-csv", files["matrix.csv"]]
    command += ["--picture", files["both.svg"]]
    environment["MPLCONFIGDIR"] = matplotlib.get_configdir()  # a list of fonts takes long to make
    done = run(*command, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    (whole,) = strict(done.stdout)

    model, about = plain_model(a_run)
    paths = sorted((images / "val").rglob("*.png"))
    labels = torch.tensor([about["classes"].index(path.parent.name) for path in paths])
    with torch.no_grad():
        outputs = model(torch.stack([plain_input(path, about["transform"]) for path in paths]))
    probabilities = outputs.double().softmax(1)
    predicted = outputs.argmax(1)
    for average in ("macro", "weighted"):
        theirs = metrics.precision_recall_fscore_support(
            labels, predicted, average=average, zero_division=0
        )
        assert list(whole[average].values()) == pytest.approx(list(theirs[:3]))
    area = metrics.roc_auc_score(labels, probabilities[:, 1])
    assert whole["roc_auc"] == pytest.approx(area) and whole["top5"] is None
    brier = metrics.brier_score_loss(labels, probabilities[:, 1], scale_by_half=False)
    assert whole["brier"] == pytest.approx(brier, 1e-4)
    assert sum(one["images"] for one in whole["reliability"]) == len(paths)
    assert set(whole["per_class_measures"]) == {"dark", "light"}

    rows = list(csv.DictReader(files["rows.csv"].read_text().splitlines()))
    losses = torch.nn.functional.cross_entropy(outputs, labels, reduction="none")
    assert {row["path"] for row in rows} == {str(path) for path in paths}
    for row in rows:
        number = paths.index(Path(row["path"]))
        assert row["label"] == about["classes"][labels[number]]
        assert row["predicted"] == about["classes"][predicted[number]]
        assert float(row["probability"]) == pytest.approx(
            float(probabilities[number].max()), abs=1e-4
        )
        assert float(row["loss"]) == pytest.approx(float(losses[number]), abs=1e-4)
    matrix = metrics.confusion_matrix(labels, predicted)
    assert files["matrix.csv"].read_text() == "label,dark,light\n" + "".join(
        f"{name},{row[0]},{row[1]}\n" for name, row in zip(about["classes"], matrix, strict=True)
    )
    assert {"Confusion matrix", "dark", "light"} <= set(texts(files["both.svg"]))
    assert any("ECE" in text for text in texts(files["both.svg"]))
    assert not list(tmp_path.glob(".tl-tui*")), "no temporary files are left"

    # Nothing is overwritten unasked, and nothing is evaluated before that is known.
    assert "use --force" in refused(run(*command, env=environment))


def test_no_row_is_left_of_an_evaluation_that_fails(
    a_run: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "data" / "dark").mkdir(parents=True)
    (tmp_path / "data" / "dark" / "x.png").write_bytes(b"no image")
    rows = tmp_path / "rows.csv"
    done = run(
        *("evaluate", a_run, "--data", tmp_path / "data", "--per-image-csv", rows),
        env=environment,
    )
    assert done.returncode == 2 and not list(tmp_path.glob("*.csv*"))
    assert not list(tmp_path.glob(".tl-tui*"))


def test_files_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    def reason(name: str, *, force: bool = False) -> str:
        with pytest.raises(Problem) as caught:
            pictures.check(OutputFile("--picture", name, force=force))
        return str(caught.value)

    assert "ends in .svg or .png" in reason(str(tmp_path / "a.pdf"))
    assert "is a folder" in reason(str(tmp_path), force=True)
    assert "there is no folder" in reason(str(tmp_path / "x" / "a.svg"))
    assert "name a file" in reason("")
    (tmp_path / "a.svg").write_text("x")
    assert "exists already; use --force" in reason(str(tmp_path / "a.svg"))
    (tmp_path / "dangling.svg").symlink_to(tmp_path / "nowhere")
    assert "exists already" in reason(str(tmp_path / "dangling.svg"))
    pictures.check(OutputFile("--picture", str(tmp_path / "a.svg"), force=True))


def test_without_matplotlib_a_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Problem, match=r"pip install 'tl-tui\[pictures\]'"):
        pictures.check(OutputFile("--picture", str(tmp_path / "a.svg"), force=False))


def evaluation(classes: tuple[str, ...], empty: int = 0) -> tuple[InferenceBegan, DataEvaluated]:
    """Return an evaluation in which each class is mistaken for the next; some have no images."""
    count = len(classes)
    per_class = tuple((8, 10) if n >= empty else (0, 0) for n in range(count))
    began = InferenceBegan(
        run="run",
        checkpoint="best",
        start=0,
        step=12,
        arch="resnet18",
        classes=classes,
        images=10 * count,
        source="flowers/val",
        device="cpu",
    )
    confusion = [(n, n, 8) for n in range(empty, count)]
    confusion += [(n, (n + 1) % count, 2) for n in range(empty, count)]
    result = DataEvaluated(
        correct=8 * (count - empty),
        total=10 * (count - empty),
        loss=0.5,
        per_class=per_class,
        confusion=tuple(sorted(confusion)),
        most_wrong=(),
        measures=measures(per_class),
    )
    return began, result


def test_names_in_a_picture_are_text_whatever_they_contain(tmp_path: Path) -> None:
    names = ("$x^2", "犬", "a\x07<b>&\u202e", "n" * 90, "_", r"\frac{1}{0")
    file = tmp_path / "names.svg"
    pictures.draw_evaluation(OutputFile("--picture", str(file), force=False), *evaluation(names, 1))
    shown = texts(file)
    assert {"$x^2", "犬", "a\ufffd<b>&\ufffd", "_", r"\frac{1}{0"} <= set(shown)
    assert any("n…n" in text and len(text) < 30 for text in shown)
    first = file.read_bytes()
    pictures.draw_evaluation(OutputFile("--picture", str(file), force=True), *evaluation(names, 1))
    assert file.read_bytes() == first, "the same evaluation gives the same file"


@pytest.mark.parametrize(
    "count", [2, 1500, *(pytest.param(count, marks=pytest.mark.thorough) for count in (16, 41))]
)
def test_a_picture_of_any_number_of_classes_has_a_readable_size(tmp_path: Path, count: int) -> None:
    file = tmp_path / "classes.png"
    classes = tuple(f"class {number}" for number in range(count))
    pictures.draw_evaluation(OutputFile("--picture", str(file), force=False), *evaluation(classes))
    with Image.open(file) as picture:
        assert 800 <= picture.width <= 3000 and 600 <= picture.height <= 2000
        colours = picture.convert("RGB").getcolors(maxcolors=1_000_000) or []
    # The matrix's dark cells are there, also where many classes share a cell.
    assert sum(number for number, (red, _, blue) in colours if red < 60 and blue > 100) > 300


# --- curves -------------------------------------------------------------------------------------


def test_show_draws_the_curves_of_a_run(a_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "curves.svg"
    plain, drawn = (
        CliRunner().invoke(show.command, [str(a_run), *more], standalone_mode=False)
        for more in ([], ["--picture", str(file)])
    )
    assert (drawn.exception, drawn.return_value, drawn.stderr) == (None, 0, "")
    assert drawn.stdout == plain.stdout
    shown = texts(file)
    assert {"training batches", "validation", "step", "chance"} <= set(shown)


def history(path: Path, *starts: StartHistory) -> Run:
    config = {"arch": "resnet18", "classes": ["a", "b"]}
    return Run(
        path=path,
        config=config,
        state="done",
        starts=list(starts),
        best=None,
        folds=None,
        torn=0,
        checkpoints={},
        bytes=0,
        changed=0.0,
    )


def test_curves_of_several_starts_with_losses_that_are_not_finite(tmp_path: Path) -> None:
    file = OutputFile("--picture", str(tmp_path / "curves.svg"), force=False)
    line = ValidatedLine(
        start=0, step=4, correct=60, total=80, loss="nan", yardstick=False, epoch=1
    )
    diverged = StartHistory(0, "", [(1, 0.7), (2, 9e9), (3, float("nan"))], [line])
    long = StartHistory(1, "", [(step, 1 / step) for step in range(1, 20_001)], [])
    long.validations.append(msgspec.structs.replace(line, start=1, step=20_000, loss=0.2))
    pictures.draw_curves(file, history(tmp_path / "my run", diverged, long))
    shown = texts(file.path)
    assert "start 0, training batches" in shown and "start 1, validation" in shown
    assert any("60 of 80, .75 (.65 to .83)" in text for text in shown)
    assert file.path.stat().st_size < 200_000, "20,000 steps are drawn as about 1,000 points"


def test_a_run_without_steps_has_no_curves(tmp_path: Path) -> None:
    file = OutputFile("--picture", str(tmp_path / "curves.svg"), force=False)
    with pytest.raises(Problem, match="no steps"):
        pictures.draw_curves(file, history(tmp_path / "new", StartHistory(0, "")))
    assert not file.path.exists()
