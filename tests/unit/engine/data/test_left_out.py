"""What is not used of a folder is counted by kind, and files are judged by their content."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from engine.data.dataset import listing
from engine.data.dataset.class_names import difference
from engine.data.dataset.image_folder import images_below, list_labelled, open_folder
from engine.data.samples import DataProblem, ImageFolder
from tests.support.driven_session import draw_tiny_images
from tl_tui.protocol.dataset import LeftOut

STUB = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
"""The beginning of an HEIC file, as a cloud's placeholder."""


def pets(root: Path, count: int = 4) -> Path:
    return draw_tiny_images(root, *(f"{c}/{n}.png" for c in ("cat", "dog") for n in range(count)))


def total(folder: ImageFolder) -> int:
    return len(folder.train) + len(folder.val)


def kinds(items: tuple[LeftOut, ...]) -> dict[str, int]:
    return {item.kind: item.count for item in items}


def test_files_without_a_known_ending_are_judged_by_their_content(tmp_path: Path) -> None:
    pets(tmp_path)
    image = Image.new("RGB", (4, 4))
    for name in ("a.webp_large", "b.jpg_1", "c", "d.jpeg!d"):
        image.save(tmp_path / "cat" / name, "WEBP")
    for name in ("e.txt", "f", "g.crdownload"):
        (tmp_path / "dog" / name).write_text("no image")
    folder = open_folder(tmp_path)
    assert total(folder) == 12
    assert kinds(folder.left_out) == {"files without a known ending": 2, ".txt": 1}
    assert all(item.example.startswith("dog/") for item in folder.left_out)


def test_truncated_heic_files_are_counted_before_the_first_step(tmp_path: Path) -> None:
    pets(tmp_path)
    for number in range(5):
        (tmp_path / "dog" / f"IMG_{number}.HEIC").write_bytes(STUB)
    folder = open_folder(tmp_path)
    assert total(folder) == 8
    (item,) = folder.left_out
    assert (item.kind, item.count, item.example) == (".heic", 5, "dog/IMG_0.HEIC")
    assert "truncated" in item.reason


@pytest.mark.parametrize("every_one", [True, False])
def test_of_very_many_files_a_sample_of_each_ending_is_looked_into(
    every_one: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LOOKED_INTO", 10)
    pets(tmp_path)
    for number in range(12):
        image = Image.new("RGB", (4, 4))
        image.save(tmp_path / "cat" / f"{number}.large", "PNG")
    if not every_one:
        (tmp_path / "cat" / "0.large").write_text("no image")
    folder = open_folder(tmp_path)
    assert total(folder) == (20 if every_one else 8)
    assert kinds(folder.left_out) == ({} if every_one else {".large": 12})


def test_system_folders_are_no_classes_at_any_depth(tmp_path: Path) -> None:
    pets(tmp_path)
    for name in ("@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX", "System Volume Information"):
        draw_tiny_images(tmp_path, f"{name}/cat/1.png", f"cat/{name}/0.png/1.png")
    for name in ("lost+found", ".thumbnails", ".Trash-1000"):
        draw_tiny_images(tmp_path, f"{name}/1.png", f"dog/deep/{name}/1.png")
    (tmp_path / "cat" / "Thumbs.db").touch()
    (tmp_path / "dog" / "._1.png").touch()
    folder = open_folder(tmp_path)
    assert folder.classes == ("cat", "dog") and total(folder) == 8
    assert kinds(folder.left_out) == {"system folders": 16, "system file": 1, "hidden file": 1}


def test_an_empty_class_folder_says_what_it_holds(tmp_path: Path) -> None:
    pets(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataProblem, match="the class folder empty/ is empty"):
        open_folder(tmp_path)
    (tmp_path / "empty" / "a.pdf").touch()
    (tmp_path / "empty" / "IMG.HEIC").write_bytes(STUB)
    draw_tiny_images(tmp_path, "empty/@eaDir/a.png")
    with pytest.raises(DataProblem, match="only 1 .heic, 1 system folder, 1 .pdf"):
        open_folder(tmp_path)


def test_the_images_of_a_folder_to_classify_are_judged_in_the_same_way(tmp_path: Path) -> None:
    pets(tmp_path, 1)
    draw_tiny_images(tmp_path, "cat/@eaDir/1.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "dog" / "photo", "PNG")
    (tmp_path / "notes.txt").touch()
    *names, items = images_below(str(tmp_path))
    found = sorted(Path(name).name for name in names if isinstance(name, str))
    assert found == ["0.png", "0.png", "photo"]
    assert isinstance(items, tuple) and kinds(items) == {".txt": 1, "system folder": 1}


# --- names of classes ---------------------------------------------------------------------------


def test_class_folders_in_another_unicode_form_are_matched_and_named(tmp_path: Path) -> None:
    for split, form in (("train", "NFC"), ("val", "NFD")):
        name = unicodedata.normalize(form, "café")
        draw_tiny_images(tmp_path, *(f"{split}/{c}/{split}.png" for c in (name, "dog")))
    folder = open_folder(tmp_path)
    assert folder.classes == ("café", "dog") and [s.label for s in folder.val] == [0, 1]
    assert "only in Unicode form" in folder.findings[0]


def test_class_folders_are_matched_by_case_and_spaces_where_that_is_safe(tmp_path: Path) -> None:
    draw_tiny_images(
        tmp_path, "train/Cat/1.png", "train/dog/1.png", "val/cat/2.png", "val/dog /2.png"
    )
    folder = open_folder(tmp_path)
    assert folder.classes == ("Cat", "dog") and [s.label for s in folder.val] == [0, 1]
    assert [f.split(" only in ")[1].split(" and")[0] for f in folder.findings[:2]] == [
        "case",
        "surrounding spaces",
    ]


def test_a_class_folder_with_two_candidates_is_refused(tmp_path: Path) -> None:
    draw_tiny_images(tmp_path, "train/Cat/1.png", "train/cat/1.png", "val/CAT/1.png")
    with pytest.raises(DataProblem, match="has the class CAT"):
        open_folder(tmp_path)


def test_classes_with_nearly_the_same_name_are_named(tmp_path: Path) -> None:
    pets(tmp_path)
    draw_tiny_images(tmp_path, "Cat/1.png", "Cat/2.png")
    folder = open_folder(tmp_path)
    assert folder.classes == ("Cat", "cat", "dog")
    assert "'Cat' and 'cat' differ only in case" in folder.findings[0]


# --- evaluation ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folders", "used"),
    [
        (["test/cat", "val/cat", "train/cat"], "test"),
        (["Testing/cat", "Training/cat"], "Testing"),
        (["valid/cat", "train/cat"], "valid"),
        (["archive/test/cat", "archive/val/cat"], "archive/test"),
        (["seg_test/cat", "seg_train/cat"], "seg_test"),
        (["cat", "dog"], "."),
        (["Cat", "DOG ", "@eaDir"], "."),
    ],
)
def test_a_test_folder_is_preferred_for_an_evaluation(
    folders: list[str], used: str, tmp_path: Path
) -> None:
    draw_tiny_images(tmp_path, *(f"{name}/1.png" for name in folders), f"{folders[0]}/notes.png")
    (tmp_path / folders[0] / "notes.txt").touch()
    *_, found = list_labelled(tmp_path, ("cat", "dog"))
    assert not isinstance(found, int)
    assert found.source == str(tmp_path / used) and found.samples[0].label == 0
    assert kinds(found.left_out)[".txt"] == 1


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("Cat ", "cat", "case and surrounding spaces"),
        ("cat ", "cat", "surrounding spaces"),
        ("CAFE\u0301", " café", "case, Unicode form and surrounding spaces"),
        ("cafe\u0301", "café", "Unicode form"),
    ],
)
def test_all_differences_of_two_names_are_named(one: str, other: str, words: str) -> None:
    assert difference(one, other) == difference(other, one) == words


def test_twins_in_the_validation_folder_are_named_together(tmp_path: Path) -> None:
    pets(tmp_path / "train")
    draw_tiny_images(tmp_path / "val", "cat/1.png", "CAT/2.png", "dog/1.png")
    with pytest.raises(DataProblem, match="val/ has the classes CAT and cat, but train/ has only"):
        open_folder(tmp_path)


# --- links --------------------------------------------------------------------------------------


def test_links_to_nothing_are_named_as_such(tmp_path: Path) -> None:
    pets(tmp_path)
    for link in ("horse", "cat/photos", "bird.v2"):
        (tmp_path / link).symlink_to(tmp_path / "unmounted" / link)
    (item,) = open_folder(tmp_path).left_out
    assert (item.kind, item.count) == ("links to nothing", 3) and "mounted" in item.reason
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "train").symlink_to(tmp_path / "unmounted")
    with pytest.raises(DataProblem, match="Left out: 1 link to nothing"):
        open_folder(tmp_path / "alone")


def test_links_to_other_classes_are_not_followed(tmp_path: Path) -> None:
    """The images of another class would count as those of the class with the link."""
    root = tmp_path / "set"
    names = [f"{part}/{c}/{n}.png" for part in ("train", "val") for c in "ab" for n in range(3)]
    draw_tiny_images(root, *names, "train/a/sub/9.png")
    draw_tiny_images(tmp_path, "store/own.png")
    plain = open_folder(root)
    for link, target in (
        ("val/b/loop", ".."),
        ("val/b/all", "../../train"),
        ("val/b/other", "../../train/a"),
        ("val/b/inner", "../../train/a/sub"),
        ("train/b/whole", "../.."),
    ):
        (root / link).symlink_to(target)
    linked = open_folder(root)
    assert (linked.train, linked.val) == (plain.train, plain.val)
    assert kinds(linked.left_out) == {
        "folders that link to a folder above": 2,
        "folders that link to another class": 3,
    }
    (root / "val" / "b" / "store").symlink_to("../../../store")
    assert len(open_folder(root).val) == len(plain.val) + 1
