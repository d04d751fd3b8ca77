"""Labels files as people have them: other names, splits, no header, no endings, missing images."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.dataset.image_folder import LabelledImages, list_labelled, open_folder
from engine.data.dataset.labels_columns import split_of
from engine.data.readability import check_readable
from engine.data.samples import ImageFolder
from tests.support.driven_session import draw_tiny_images
from tl_tui.common.errors import Problem
from tl_tui.settings.columns import FIRST_COLUMNS, parse_columns

ROWS = [(f"{n}.png", "cat" if n % 2 else "dog", n) for n in range(10)]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    draw_tiny_images(tmp_path / "images", *(path for path, _, _ in ROWS))
    return tmp_path


def labelled(pictures: Path, text: str, columns: str | None = None) -> ImageFolder:
    (pictures / "labels.csv").write_text(text, encoding="utf-8")
    return open_folder(pictures / "images", labels=pictures / "labels.csv", columns=columns)


def table(header: str, *fields: str) -> str:
    """Return a file with a row per image; fields may contain {path}, {id}, {label} and {n}."""
    rows = [
        ",".join(fields).format(path=path, id=path[:-4], label=label, n=n)
        for path, label, n in ROWS
    ]
    return "\n".join([header, *rows]) + "\n"


def unused(folder: ImageFolder) -> dict[str, str]:
    return {item.example: item.reason for item in folder.left_out if "column" in item.kind}


@pytest.mark.parametrize(
    "header",
    [
        "image,label", "filename,class", "File Name,Category", "file_name,target", "img,species",
        "image_id,diagnosis", "filepath,class_name", "FILE,LABEL", "id,breed",
    ],
)  # fmt: skip
def test_the_usual_names_are_known(header: str, pictures: Path) -> None:
    folder = labelled(pictures, table(header, "{path}", "{label}"))
    assert folder.classes == ("cat", "dog")
    assert (len(folder.train), len(folder.val)) == (8, 2)
    assert folder.validation == "a fifth of each class" and not folder.left_out


def test_of_several_columns_the_one_with_images_is_the_path(pictures: Path) -> None:
    text = table("image,id,label", "http://example.org/{n}", "{id}", "{label}")
    folder = labelled(pictures, text)
    assert len(folder.train) == 8 and unused(folder) == {"image": "not used"}


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("is_valid", ["False", "True"]), ("is_valid", ["0", "1"]), ("is_train", ["1", "0"]),
        ("split", ["train", "val"]), ("subset", ["training", "validation"]),
        ("set", ["seg_train", "seg_dev"]), ("phase", ["TRAIN", "Valid"]),
        ("fold", ["train", "val"]),
    ],
)  # fmt: skip
def test_the_split_is_read_from_its_usual_columns(
    column: str, values: list[str], pictures: Path
) -> None:
    rows = [f"{path},{label},{values[n > 7]}" for path, label, n in ROWS]
    folder = labelled(pictures, "\n".join([f"path,label,{column}", *rows]))
    assert [Path(sample.path).name for sample in folder.val] == ["9.png", "8.png"]
    assert len(folder.train) == 8 and not folder.left_out
    mark = "val" if column.startswith("is") else values[1]
    assert folder.validation == f"rows marked {mark} in the column {column}"


def test_test_rows_are_left_out_and_used_by_evaluate(pictures: Path) -> None:
    parts = ["train"] * 4 + ["val"] * 3 + ["test"] * 3
    rows = [f"{path},{label},{parts[n]}" for path, label, n in ROWS]
    text = "\n".join(["path,label,split", *rows])
    folder = labelled(pictures, text)
    assert (len(folder.train), len(folder.val)) == (4, 3)
    (left_out,) = folder.left_out
    assert (left_out.kind, left_out.count) == ("rows marked test", 3)
    assert left_out.example.endswith("7.png") and "evaluate" in left_out.reason

    def evaluated(text: str) -> LabelledImages:
        (pictures / "labels.csv").write_text(text)
        *_, images = list_labelled(
            pictures / "images", ("cat", "dog"), labels=pictures / "labels.csv"
        )
        assert isinstance(images, LabelledImages)
        return images

    tested = evaluated(text)
    assert sorted(Path(s.path).name for s in tested.samples) == ["7.png", "8.png", "9.png"]
    assert tested.part == "test" and tested.source.endswith("rows marked test")
    assert len(evaluated(text.replace("test", "train")).samples) == 3  # those marked val
    assert len(evaluated(table("path,label", "{path}", "{label}")).samples) == 10


def test_columns_that_are_not_used_are_named(pictures: Path) -> None:
    text = table("path,label,note,fold,age", "{path}", "{label}", "x", "{n}", "{n}")
    folder = labelled(pictures, text)
    why = "its values do not say which rows are for validation"
    assert unused(folder) == {"note, age": "not used", "fold": why}
    assert folder.validation == "a fifth of each class"


@pytest.mark.parametrize(
    "columns",
    [
        "path=foto,label=art,split=teil",
        " Path = 1, label=3 ,split=2",
        "path=FOTO,label=3,split=teil",
    ],
)
def test_an_option_names_the_columns(columns: str, pictures: Path) -> None:
    rows = [f"{path},{'val' if n > 7 else 'train'},{label}" for path, label, n in ROWS]
    text = "\n".join(["foto,teil,art", *rows])
    if columns.startswith(" Path"):
        text = "\n".join(rows)  # no header
    folder = labelled(pictures, text, columns)
    assert folder.classes == ("cat", "dog") and len(folder.val) == 2 and not folder.left_out


def test_the_option_can_leave_the_split_out(pictures: Path) -> None:
    text = table("path,label,split", "{path}", "{label}", "train")
    assert unused(labelled(pictures, text, "split=")) == {"split": "not used"}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("path", "path has no ="), ("", "a part has no ="), ("paht=a", "did you mean path?"),
        ("quux=a", "choose from path, label, split"), ("path=a,path=b", "path is named twice"),
        ("path=", "path= names no column"), ("label=lable", "no such column; did you mean"),
        ("label=9", "no such column; it has path, label"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_refused(columns: str, message: str, pictures: Path) -> None:
    with pytest.raises(Problem) as caught:
        labelled(pictures, table("path,label", "{path}", "{label}"), columns)
    assert message in str(caught.value)


def test_ids_need_no_ending(pictures: Path) -> None:
    draw_tiny_images(pictures / "images", "3.jpg")
    folder = labelled(pictures, table("id,label", "{id}", "{label}"))
    names = {Path(sample.path).name for sample in (*folder.train, *folder.val)}
    assert "3.jpg" in names and "4.png" in names and len(names) == 10
    (finding,) = folder.findings
    assert finding.startswith("1 name fits several images")


def test_backslashes_are_slashes(pictures: Path) -> None:
    draw_tiny_images(pictures / "images", "sub/deep.png")
    text = table("path,label", "{path}", "{label}") + "sub\\deep.png,cat\n.\\sub\\no.png,cat\n"
    folder = labelled(pictures, text)
    paths = {sample.path for sample in (*folder.train, *folder.val)}
    assert str(pictures / "images" / "sub" / "deep.png") in paths
    assert list(folder.unreadable) == [str(pictures / "images" / "sub" / "no.png")]


def test_a_file_without_header_is_read_from_its_first_line(pictures: Path) -> None:
    text = table("", "{path}", "{label}").lstrip()
    folder = labelled(pictures, text)
    assert len(folder.train) + len(folder.val) == 10 and not folder.left_out
    rows = [f"{path},{'val' if n > 7 else 'train'},{label}" for path, label, n in ROWS]
    assert len(labelled(pictures, "\n".join(rows)).val) == 2


def test_a_file_without_header_and_more_columns_is_refused(pictures: Path) -> None:
    text = table("", "{n}", "{path}", "{label}").lstrip()
    with pytest.raises(Problem, match="--columns path=2,label=1"):
        labelled(pictures, text)
    folder = labelled(pictures, text, "path=2,label=3")
    assert unused(folder) == {"1": "not used"}


def test_a_missing_image_is_an_unreadable_one(pictures: Path) -> None:
    text = table("path,label", "{path}", "{label}") + "gone.png,cat\nlost.png,dog\n"
    folder = labelled(pictures, text)
    assert {Path(path).name for path in folder.unreadable} == {"gone.png", "lost.png"}
    *_, checked = check_readable(folder)
    assert isinstance(checked, ImageFolder)
    assert [(item.kind, item.count) for item in checked.left_out] == [("missing images", 2)]
    counted = len(checked.readable(checked.train)) + len(checked.readable(checked.val))
    assert counted == 10


def test_labels_that_are_nearly_the_same_are_named(pictures: Path) -> None:
    labels = ["Cat", "cat", "0", "0.0", "dog", "dog ", "hot_dog", "hot dog", "bird", "bird"]
    rows = [f'{path},"{labels[n]}",{"val" if n == 9 else "train"}' for path, _, n in ROWS]
    folder = labelled(pictures, "\n".join(["path,label,split", *rows]))
    similar, spaced = folder.findings
    for pair in ("Cat and cat", "0 and 0.0", "hot dog and hot_dog"):
        assert pair in similar
    assert "“dog” and “dog ”" in spaced and "bird" not in similar + spaced
    assert "dog" in folder.classes and "dog " not in folder.classes


def test_spaces_before_every_label_are_no_finding(pictures: Path) -> None:
    assert not labelled(pictures, table("path, label", "{path}", " {label}")).findings


def test_runs_of_the_first_version_keep_their_columns(pictures: Path) -> None:
    """It did not know `is_valid`; a resumed run must not train on its validation images."""
    text = table("path,label,is_valid", "{path}", "{label}", "True")
    folder = labelled(pictures, text.replace("True", "False", 5), FIRST_COLUMNS)
    assert folder.validation == "a fifth of each class"
    text = table("path,label,split", "{path}", "{label}", "train").replace("train", "val", 4)
    assert len(labelled(pictures, text, FIRST_COLUMNS).val) == 4


@given(st.sampled_from(["train", "val", "test"]), st.sampled_from(["seg_", "My ", "2017-", ""]))
def test_prefixes_of_splits_are_ignored(split: str, prefix: str) -> None:
    assert split_of(prefix + split.upper()) == split
    assert split_of(f"{prefix}{split}ish") is None


@given(st.dictionaries(st.sampled_from(["path", "label", "split"]), st.text("abc x1", min_size=1)))
def test_the_option_is_read_as_written(columns: dict[str, str]) -> None:
    if all(name.strip() for name in columns.values()) and columns:
        text = ",".join(f"{role}={name}" for role, name in columns.items())
        assert parse_columns(text) == {role: name.strip() for role, name in columns.items()}
