"""Folders and labels files as people have them: odd names, links, lies, and very many files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.data import (
    ImageFolder,
    Sample,
    folds,
    list_folder,
    open_folder,
    printable,
    yardstick_of,
)
from engine.problem import Problem
from engine.protocol import ImageSkipped, StepTaken, Train, TrainEnded, Validated
from engine.strict_json import dumps
from tests.sessions import Driven, draw_images


def made(root: Path, *paths: str) -> Path:
    """Tiny images at these paths."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), "grey").save(root / path)
    return root


def two_classes(root: Path, count: int = 4) -> Path:
    return made(root, *(f"{name}/{n}.png" for name in ("cat", "dog") for n in range(count)))


def test_listing_reports_on_its_way_and_does_not_depend_on_the_order_of_names(
    tmp_path: Path,
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(1500):
            (tmp_path / name / f"{number:04}.jpg").touch()
    *counts, folder = list_folder(tmp_path)
    assert counts == [1000, 2000, 3000, 3000]
    assert isinstance(folder, ImageFolder)
    assert len(folder.train) == 2400 and len(folder.val) == 600
    assert folder == open_folder(tmp_path)
    assert folder != open_folder(tmp_path, seed=1), "the split is the seed's"


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_the_validation_folder_has_three_names_and_test_is_left_alone(
    name: str, tmp_path: Path
) -> None:
    two_classes(tmp_path / "train")
    two_classes(tmp_path / name, 2)
    two_classes(tmp_path / "test", 3)
    folder = open_folder(tmp_path)
    assert (len(folder.train), len(folder.val)) == (8, 4)


def test_train_alone_is_split(tmp_path: Path) -> None:
    two_classes(tmp_path / "train", 10)
    folder = open_folder(tmp_path)
    assert (len(folder.train), len(folder.val)) == (16, 4)


def test_a_class_with_one_image_keeps_it_for_training(tmp_path: Path) -> None:
    two_classes(tmp_path)
    made(tmp_path, "bird/only.png")
    folder = open_folder(tmp_path)
    assert [Path(s.path).name for s in folder.train if s.label == 0] == ["only.png"]
    assert not [s for s in folder.val if s.label == 0]


def test_a_link_that_leads_back_ends(tmp_path: Path) -> None:
    two_classes(tmp_path)
    (tmp_path / "cat" / "again").symlink_to(tmp_path / "cat", target_is_directory=True)
    (tmp_path / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    more = made(tmp_path.with_name("elsewhere"), "extra.png")
    (tmp_path / "dog" / "more").symlink_to(more, target_is_directory=True)
    folder = open_folder(tmp_path)
    names = sorted(Path(sample.path).name for sample in folder.train + folder.val)
    assert names == sorted(["0.png", "1.png", "2.png", "3.png"] * 2 + ["extra.png", "gone.png"])


ODD = ["Würstchen", "犬", "[red]hot[b] dog", "tab\there", "new\nline", "a" * 120, "-rf", "nan"]


def test_odd_names_train_and_are_told(tmp_path: Path) -> None:
    draw_images(tmp_path / "plain", train=4, val=2)
    root = tmp_path / "odd"
    for number, name in enumerate(ODD):
        made(root, *(f"{name}/{name[:40]} {n}.png" for n in range(6)))
        (root / name / f"broken {number}.jpg").write_bytes(b"no image")
    driven = Driven(
        data=str(root), weights="none", image_size=32, batch_size=8, run_dir=str(tmp_path / "run")
    )
    assert list(driven.opened.classes) == sorted(ODD)
    driven.do(Train, steps=6)
    assert driven.last(TrainEnded).reason == "done"
    skipped = driven.last(ImageSkipped).total
    assert driven.last(Validated).skipped_images == skipped > 0
    driven.session.close()
    lines = (tmp_path / "run" / "journal.jsonl").read_text().splitlines()
    assert sum('"image_skipped"' in line for line in lines) == skipped


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX only")
def test_a_name_that_is_not_utf8_is_printable_and_its_image_is_read(tmp_path: Path) -> None:
    two_classes(tmp_path, 6)
    strange = os.fsencode(tmp_path / "cat") + b"/\xff\xfe.png"
    os.rename(os.fsencode(tmp_path / "cat" / "0.png"), strange)
    broken = os.fsencode(tmp_path / "dog") + b"/\xe9.png"
    with open(broken, "wb") as file:
        file.write(b"no image")
    driven = Driven(
        data=str(tmp_path), weights="none", image_size=32, batch_size=4, run_dir=str(tmp_path / "r")
    )
    driven.do(Train, steps=driven.opened.batches_per_epoch)
    told = [event.path for event in driven.all(ImageSkipped)]
    assert told == [f"{tmp_path}/dog/\\xe9.png"]
    assert "\\\\xe9" in dumps({"path": told[0]})


@given(st.binary(max_size=30))
def test_printable_can_always_be_encoded(name: bytes) -> None:
    shown = printable(os.fsdecode(name))
    shown.encode("utf-8")
    assert dumps(shown)


# --- what cannot be read ------------------------------------------------------------------------


def session(folder: Path, tmp_path: Path, **config: object) -> Driven:
    common = {"weights": "none", "image_size": 32, "batch_size": 4}
    return Driven(data=str(folder), run_dir=str(tmp_path / "run"), **(common | config))  # type: ignore[arg-type]


def test_files_that_vanish_are_skipped(tmp_path: Path) -> None:
    folder = draw_images(tmp_path / "images")
    driven = session(folder, tmp_path)
    gone = sorted((folder / "train" / "dark").iterdir())[:5]
    for path in gone:
        path.unlink()
    driven.do(Train, steps=2 * driven.opened.batches_per_epoch)
    told = {event.path for event in driven.all(ImageSkipped)}
    # Those of the first batch were decoded ahead, while they were still there.
    assert told <= {str(path) for path in gone} and len(told) >= 1
    assert driven.last(TrainEnded).reason == "done"


def test_a_batch_of_which_one_image_is_left_is_passed_over(tmp_path: Path) -> None:
    folder = draw_images(tmp_path / "images", train=4, val=2)
    everything = sorted((folder / "train").rglob("*.png"))
    for path in everything[:3] + everything[4:7]:
        path.write_bytes(b"")
    driven = session(folder, tmp_path, batch_size=8)
    driven.do(Train, steps=3)
    assert {step.batch for step in driven.all(StepTaken)} == {2}


def test_a_class_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    folder = draw_images(tmp_path / "images")
    for path in (folder / "val" / "dark").iterdir():
        path.write_bytes(b"\x89PNG\r\n")
    driven = session(folder, tmp_path)
    driven.do(Train, steps=1)
    result = driven.last(Validated)
    assert result.per_class[0] == (0, 0) and result.total == 6 and result.skipped_images == 6


# --- labels files -------------------------------------------------------------------------------


def labelled(tmp_path: Path, text: str, encoding: str = "utf-8") -> ImageFolder:
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    return open_folder(tmp_path / "images", labels=tmp_path / "labels.csv")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    made(tmp_path / "images", *(f"{n}.png" for n in range(10)), "deep/er.png")
    return tmp_path


def lines(*rows: str) -> str:
    return "\n".join(("path,label", *rows)) + "\n"


def test_a_labels_file_is_split(pictures: Path) -> None:
    text = lines(*(f"{n}.png,{'cat' if n % 2 else 'dog'}" for n in range(10)), "deep/er.png,cat")
    folder = labelled(pictures, text, "utf-8-sig")
    assert folder.classes == ("cat", "dog")
    assert len(folder.train) == 9 and len(folder.val) == 2
    assert {Path(s.path).name for s in folder.train + folder.val if s.label == 0} == {
        "1.png", "3.png", "5.png", "7.png", "9.png", "er.png",
    }  # fmt: skip


def test_a_labels_file_may_say_what_is_for_validation(pictures: Path) -> None:
    text = "Split, Label ,path\n" + "".join(
        f"{'val' if n > 7 else 'train'},{n % 2},{n}.png\n" for n in range(10)
    )
    folder = labelled(pictures, text)
    assert [Path(s.path).name for s in folder.val] == ["8.png", "9.png"]
    assert folder.classes == ("0", "1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must name the columns path and label; path is missing"),
        ("path label\n0.png cat\n", "path is missing (it reads path label)"),
        ("path;label\n0.png;cat\n1.png\n", "line 3: the label is missing"),
        ("path\n0.png\n", "label is missing"),
        (lines("0.png,cat", "11.png,dog"), "line 3: there is no image 11.png"),
        (lines("0.png,cat", "1.png,"), "line 3: the label is missing"),
        (lines("0.png,cat", ",dog"), "line 3: the path is missing"),
        (lines("0.png,cat", "1.png,dog", "0.png,dog"), "line 4: 0.png is there already (line 2)"),
        (lines("0.png,cat", "1.png,cat"), "only one class (cat)"),
        (lines(), "no images"),
        (lines("0.png,cat", "1.png,dog"), "too few images to keep any for validation"),
        ("path,label,split\n0.png,cat,test\n", "line 2: the split is test"),
    ],
)
def test_a_labels_file_that_lies_is_refused_with_its_line(
    pictures: Path, text: str, words: str
) -> None:
    with pytest.raises(Problem) as caught:
        labelled(pictures, text)
    assert words in str(caught.value)


@pytest.mark.parametrize("divided", [";", "\t"])
def test_a_labels_file_of_a_spreadsheet(divided: str, pictures: Path) -> None:
    text = lines(*(f'"{n}.png",{"a, b" if n % 2 else "c"}' for n in range(10)))
    text = text.replace(",c", f"{divided}c").replace(",a", f"{divided}a")
    folder = labelled(pictures, text.replace("path,label", f"path{divided}label"))
    assert folder.classes == ("a, b", "c") and len(folder.train) == 8


def test_paths_may_be_relative_to_the_labels_file_or_absolute(pictures: Path) -> None:
    rows = [f"images/{n}.png,cat" for n in range(5)]
    rows += [f"{pictures}/images/{n}.png,dog" for n in range(5, 10)]
    folder = labelled(pictures, lines(*rows))
    assert {s.path for s in folder.train + folder.val} == {
        f"{pictures}/images/{n}.png" for n in range(10)
    }


def test_an_image_that_is_named_twice_in_other_words(pictures: Path) -> None:
    with pytest.raises(Problem, match="is there already"):
        labelled(pictures, lines("0.png,cat", "deep/../0.png,dog"))


@pytest.mark.parametrize("content", [b"path,label\n\xff\xfe,cat\n", b"\x00\x01\x02"])
def test_a_labels_file_that_is_no_text(pictures: Path, content: bytes) -> None:
    (pictures / "labels.csv").write_bytes(content)
    with pytest.raises(Problem, match="labels.csv"):
        open_folder(pictures / "images", labels=pictures / "labels.csv")


# --- splits -------------------------------------------------------------------------------------

COUNTS = st.lists(st.integers(2, 30), min_size=2, max_size=6)


def folder_of(counts: list[int]) -> ImageFolder:
    samples = tuple(
        Sample(f"{label}/{number:03}", label)
        for label, count in enumerate(counts)
        for number in range(count)
    )
    names = tuple(str(label) for label in range(len(counts)))
    return ImageFolder("made up", names, samples[::2], samples[1::2])


@given(COUNTS, st.integers(2, 6), st.integers(0, 99))
def test_folds_validate_every_image_once_in_proportion(counts, count, seed) -> None:
    folder = folder_of(counts)
    if count > min(counts):
        with pytest.raises(Problem, match="use at most"):
            folds(folder, count, seed)
        return
    parts = folds(folder, count, seed)
    everything = sorted(folder.train + folder.val)
    assert sorted(sample for part in parts for sample in part.val) == everything
    for part in parts:
        assert sorted(part.train + part.val) == everything
        for label, images in enumerate(counts):
            mine = sum(sample.label == label for sample in part.val)
            assert images // count <= mine <= images // count + 1
    assert parts == folds(folder, count, seed)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=100), st.integers(0, 9))
def test_the_yardstick_has_at_most_64_images_of_the_validation_set(counts, seed) -> None:
    samples = tuple(
        Sample(f"{label}/{number:03}", label)
        for label, count in enumerate(counts)
        for number in range(count)
    )
    names = tuple(map(str, range(len(counts))))
    chosen = yardstick_of(ImageFolder("made up", names, (), samples), seed)
    assert len(chosen) == len(set(chosen)) == min(64, len(chosen))
    assert set(chosen) <= set(samples)
    if len(samples) <= 64:
        assert chosen == samples
    elif len(counts) > 32:
        assert len(chosen) == 64
