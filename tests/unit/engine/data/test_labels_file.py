"""Labels files are read, and errors in them are reported with the line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.data.dataset import labelled_rows
from engine.data.dataset.image_folder import open_folder
from engine.data.samples import ImageFolder
from tests.support.driven_session import DrivenSession, draw_tiny_images
from tl_tui.common.errors import Problem


def labelled(tmp_path: Path, text: str, encoding: str = "utf-8") -> ImageFolder:
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    return open_folder(tmp_path / "images", labels=tmp_path / "labels.csv")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    draw_tiny_images(tmp_path / "images", *(f"{n}.png" for n in range(10)), "deep/er.png")
    return tmp_path


def lines(*rows: str) -> str:
    return "\n".join(("path,label", *rows)) + "\n"


def test_a_labels_file_without_splits_is_split(pictures: Path) -> None:
    text = lines(*(f"{n}.png,{'cat' if n % 2 else 'dog'}" for n in range(10)), "deep/er.png,cat")
    folder = labelled(pictures, text, "utf-8-sig")
    assert folder.classes == ("cat", "dog")
    assert len(folder.train) == 9 and len(folder.val) == 2
    assert {Path(s.path).name for s in folder.train + folder.val if s.label == 0} == {
        "1.png", "3.png", "5.png", "7.png", "9.png", "er.png",
    }  # fmt: skip


def test_a_labels_file_may_name_the_split_of_each_image(pictures: Path) -> None:
    text = "Split, Label ,path\n" + "".join(
        f"{'val' if n > 7 else 'train'},{n % 2},{n}.png\n" for n in range(10)
    )
    folder = labelled(pictures, text)
    assert [Path(s.path).name for s in folder.val] == ["8.png", "9.png"]
    assert folder.classes == ("0", "1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first line names no column as path (it has no columns)"),
        ("path label\n0.png cat\n", "names no column as path (it has path label)"),
        ("path;label\n0.png;cat\n1.png\n", "line 3: the label is missing"),
        ("path\n0.png\n", "names no column as label (it has path)"),
        (lines("11.png,cat", "12.png,dog"), "not one of its 2 images exists. The first would be "),
        (lines("0.png,cat", "1.png,"), "line 3: the label is missing"),
        (lines("0.png,cat", ",dog"), "line 3: the path is missing"),
        (lines("0.png,cat", "1.png,dog", "0.png,dog"), "line 4: 0.png is already on line 2"),
        (lines("0.png,cat", "1.png,cat"), "only one class (cat)"),
        (lines(), "no images"),
        (lines("0.png,cat", "1.png,dog"), "too few images to keep any for validation"),
        ("path,label,split\n0.png,cat,extra\n", "line 2: the split is extra; it must be train"),
        (
            lines("0.png,Tiger, white", "1.png,cat"),
            "line 2: there are 3 cells, but the first",
        ),
        ("0.png;cat\n1.png;a;b\n", 'contains a semicolon in quotes, as in "Tiger; white"'),
        (lines("0.png,cat", '"1.png,dog', "2.png,cat"), "line 3: a quote opens and is not closed"),
        (lines("0.png,cat", '"1.png,dog')[:-1], "line 3: a quote opens and is not closed"),
        (lines("0.png,cat", '"1.png,dog', '2.png",cat'), "line 3: a quote opens and is not clo"),
        ('path,label,note\n0.png,cat,"a\nb"\n1.png,cat,"c\n2.png,dog,\n', "line 4: a quote opens"),
        ("path,label,split\n0.png,cat,test\n", "every row is marked test"),
        ("path,label,split\n0.png,a,val\n1.png,b,val\n", "no row is marked train"),
        ("path,label,split\n0.png,a,train\n1.png,b,val\n", "the class b has no training image"),
    ],
)
def test_an_incorrect_labels_file_is_refused_with_the_line(
    pictures: Path, text: str, message: str
) -> None:
    with pytest.raises(Problem) as caught:
        labelled(pictures, text)
    assert message in str(caught.value)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_cells_may_be_separated_by_semicolons_or_tabs(delimiter: str, pictures: Path) -> None:
    text = lines(*(f'"{n}.png",{"a, b" if n % 2 else "c"}' for n in range(10)))
    text = text.replace(",c", f"{delimiter}c").replace(",a", f"{delimiter}a")
    folder = labelled(pictures, text.replace("path,label", f"path{delimiter}label"))
    assert folder.classes == ("a, b", "c") and len(folder.train) == 8


def test_paths_may_be_relative_to_the_labels_file_or_absolute(pictures: Path) -> None:
    rows = [f"images/{n}.png,cat" for n in range(5)]
    rows += [f"{pictures}/images/{n}.png,dog" for n in range(5, 10)]
    folder = labelled(pictures, lines(*rows))
    assert {s.path for s in folder.train + folder.val} == {
        f"{pictures}/images/{n}.png" for n in range(10)
    }


def test_two_paths_of_the_same_image_are_refused(pictures: Path) -> None:
    with pytest.raises(Problem, match="is already on line 2"):
        labelled(pictures, lines("0.png,cat", "deep/../0.png,dog"))


@pytest.mark.parametrize("how", ["absolute", "linked folder", "linked file"])
def test_the_same_image_by_another_path_is_refused(
    how: str, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pictures)
    (pictures / "images" / "again").symlink_to(pictures / "images")
    (pictures / "images" / "link.png").symlink_to("0.png")
    other = {"absolute": f"{pictures}/images/0.png", "linked folder": "again/0.png"}
    (pictures / "labels.csv").write_text(lines("0.png,cat", f"{other.get(how, 'link.png')},dog"))
    with pytest.raises(Problem, match=r"is already on line 2 \(as 0.png\)"):
        open_folder(Path("images"), labels=Path("labels.csv"))


def test_empty_cells_at_the_end_and_line_breaks_in_a_note_are_accepted(pictures: Path) -> None:
    rows = [f'{n}.png,{n % 2},"two\nlines",,' for n in range(10)]
    folder = labelled(pictures, "\n".join(["path,label,note", *rows]))
    assert len(folder.train) + len(folder.val) == 10


def test_rows_without_a_split_are_named_and_splits_by_their_own_words(pictures: Path) -> None:
    parts = ["train"] * 4 + ["dev"] * 2 + [""] * 2 + ["holdout"] * 2
    rows = [f"{n}.png,{n % 2},{part}" for n, part in enumerate(parts)]
    folder = labelled(pictures, "\n".join(["path,label,split", *rows]))
    assert folder.findings == ("2 rows without a split are used for training.",)
    assert folder.validation == "rows marked dev in the column split" and len(folder.train) == 6
    assert [item.kind for item in folder.left_out] == [
        "rows marked holdout",
        "image that no row names",
    ]


def test_images_that_no_row_names_are_counted(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = lines(*(f"{n}.png,{n % 2}" for n in range(8)))
    (item,) = labelled(pictures, text).left_out
    assert (item.kind, item.count, item.example) == ("images that no row names", 3, "8.png")
    monkeypatch.setattr(labelled_rows, "NAMES_LISTED", 5)
    assert not labelled(pictures, text).left_out


@pytest.mark.parametrize("content", [b"path,label\n\xff\xfe,cat\n", b"\x00\x01\x02"])
def test_a_labels_file_that_is_not_text_is_refused(pictures: Path, content: bytes) -> None:
    (pictures / "labels.csv").write_bytes(content)
    with pytest.raises(Problem, match="labels.csv"):
        open_folder(pictures / "images", labels=pictures / "labels.csv")


def test_a_missing_labels_file_or_a_folder_is_refused(pictures: Path) -> None:
    with pytest.raises(Problem, match="there is no such file"):
        open_folder(pictures / "images", labels=pictures / "labels.csv")
    (pictures / "labels.csv").mkdir()
    with pytest.raises(Problem, match="it is a folder"):
        open_folder(pictures / "images", labels=pictures / "labels.csv")
    os.mkfifo(pictures / "pipe")
    with pytest.raises(Problem, match="it is a pipe; write its text to a file"):
        open_folder(pictures / "images", labels=pictures / "pipe")


def test_without_data_paths_are_relative_to_the_labels_file(pictures: Path) -> None:
    rows = lines(*(f"images/{n}.png,{'cat' if n % 2 else 'dog'}" for n in range(10)))
    (pictures / "labels.csv").write_text(rows)
    driven = DrivenSession(
        labels=str(pictures / "labels.csv"), weights="none", image_size=32, batch_size=4,
        run_dir=str(pictures / "run"),
    )  # fmt: skip
    assert driven.opened.classes == ("cat", "dog")
    assert driven.opened.train_images + driven.opened.val_images == 10
