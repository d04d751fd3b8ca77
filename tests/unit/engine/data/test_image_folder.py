"""Image folders as people have them: layouts, odd names, links, lies, and very many files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.image_folder import list_folder, open_folder
from engine.data.samples import DataProblem, ImageFolder, printable
from tests.support.driven_session import DrivenSession, draw_images, draw_tiny_images
from tl_tui.common.json_codec import dumps
from tl_tui.protocol.commands import Train
from tl_tui.protocol.training import ImageSkipped, StepTaken, TrainEnded, Validated


def two_classes(root: Path, count: int = 4) -> Path:
    return draw_tiny_images(
        root, *(f"{name}/{n}.png" for name in ("cat", "dog") for n in range(count))
    )


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


def test_train_and_val_are_found(tmp_path: Path) -> None:
    folder = open_folder(draw_images(tmp_path / "set", train=4, val=3))
    assert folder.classes == ("dark", "light") and folder.name == "set"
    assert (len(folder.train), len(folder.val)) == (8, 6)


def test_class_folders_alone_are_split_stratified_and_seeded(tmp_path: Path) -> None:
    root = draw_images(tmp_path, train=10, val=1) / "train"
    one, same, other = open_folder(root), open_folder(root), open_folder(root, seed=1)
    assert one == same and one.val != other.val
    assert [sum(s.label == label for s in one.val) for label in (0, 1)] == [2, 2]
    assert not {s.path for s in one.train} & {s.path for s in one.val}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: None, "no such folder"),
        (lambda root: root.write_text("x"), "is a file"),
        (lambda root: root.mkdir(), "no class folders"),
        (lambda root: (root / "cat").mkdir(parents=True), "hold no images"),
    ],
)
def test_a_folder_that_cannot_be_used(make, words: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "set")
    with pytest.raises(DataProblem, match=words):
        open_folder(tmp_path / "set")


def test_one_class_is_not_enough(tmp_path: Path) -> None:
    root = draw_images(tmp_path)
    for file in (root / "train" / "light").iterdir():
        file.unlink()
    with pytest.raises(DataProblem, match="only one class"):
        open_folder(root)


def test_a_class_of_val_that_train_does_not_have(tmp_path: Path) -> None:
    root = draw_images(tmp_path)
    (root / "val" / "grey").mkdir()
    with pytest.raises(DataProblem, match="grey"):
        open_folder(root)


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
    draw_tiny_images(tmp_path, "bird/only.png")
    folder = open_folder(tmp_path)
    assert [Path(s.path).name for s in folder.train if s.label == 0] == ["only.png"]
    assert not [s for s in folder.val if s.label == 0]


def test_a_link_that_leads_back_ends(tmp_path: Path) -> None:
    two_classes(tmp_path)
    (tmp_path / "cat" / "again").symlink_to(tmp_path / "cat", target_is_directory=True)
    (tmp_path / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    more = draw_tiny_images(tmp_path.with_name("elsewhere"), "extra.png")
    (tmp_path / "dog" / "more").symlink_to(more, target_is_directory=True)
    folder = open_folder(tmp_path)
    names = sorted(Path(sample.path).name for sample in folder.train + folder.val)
    assert names == sorted(["0.png", "1.png", "2.png", "3.png"] * 2 + ["extra.png", "gone.png"])


def test_of_two_links_to_a_folder_always_the_same_one_counts(tmp_path: Path) -> None:
    """Whichever the file system tells first: no image is there twice."""
    paths = []
    for order in (("a", "b"), ("b", "a")):
        root = two_classes(tmp_path / order[0])
        more = draw_tiny_images(tmp_path / f"{order[0]} more", "extra.png")
        for name in order:
            (root / "dog" / name).symlink_to(more, target_is_directory=True)
        folder = open_folder(root)
        found = [s.path for s in folder.train + folder.val if s.path.endswith("extra.png")]
        paths += [Path(path).relative_to(root) for path in found]
    assert paths == [Path("dog/a/extra.png")] * 2


def test_links_to_themselves_and_folders_with_an_images_name(tmp_path: Path) -> None:
    two_classes(tmp_path)
    (tmp_path / "cat" / "round").symlink_to(tmp_path / "cat" / "round")
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    draw_tiny_images(tmp_path, "cat/folder.jpg/inside.png")
    folder = open_folder(tmp_path)
    assert folder.classes == ("cat", "dog")
    names = [Path(s.path).name for s in folder.train + folder.val if s.label == 0]
    assert sorted(names) == ["0.png", "1.png", "2.png", "3.png", "inside.png"]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    draw_tiny_images(
        tmp_path, *(f"{name}/{n}.png" for name in ("plane", "train") for n in range(5))
    )
    folder = open_folder(tmp_path)
    assert folder.classes == ("plane", "train") and len(folder.train) == 8


def test_what_is_no_image_is_left_alone_and_still_reports(tmp_path: Path) -> None:
    two_classes(tmp_path)
    draw_tiny_images(
        tmp_path, ".hidden/1.png", "cat/.hidden/1.png", "cat/.1.png", "__pycache__/1.png"
    )
    for number in range(2500):
        (tmp_path / "cat" / f"{number}.txt").touch()
    (tmp_path / "cat" / "paper.pdf").touch()
    *counts, folder = list_folder(tmp_path)
    assert isinstance(folder, ImageFolder) and folder.classes == ("cat", "dog")
    assert len(counts) == 3 and counts[-1] == len(folder.train) + len(folder.val) == 8


def test_a_folder_that_goes_away_while_it_is_listed(tmp_path: Path) -> None:
    for number in range(1100):
        (
            draw_tiny_images(tmp_path, "cat/0.png", "dog/0.png", "dog/1.png")
            / "cat"
            / f"{number}.jpg"
        ).touch()
    draw_tiny_images(tmp_path, "cat/deeper/1.png")
    listing = list_folder(tmp_path)
    assert next(listing) == 1000
    (tmp_path / "cat" / "deeper" / "1.png").unlink()
    (tmp_path / "cat" / "deeper").rmdir()
    *_, folder = listing
    assert isinstance(folder, ImageFolder)
    assert len(folder.train) + len(folder.val) == 1101 + 2


ODD = ["Würstchen", "犬", "[red]hot[b] dog", "tab\there", "new\nline", "a" * 120, "-rf", "nan"]


def test_odd_names_train_and_are_told(tmp_path: Path) -> None:
    draw_images(tmp_path / "plain", train=4, val=2)
    root = tmp_path / "odd"
    for number, name in enumerate(ODD):
        draw_tiny_images(root, *(f"{name}/{name[:40]} {n}.png" for n in range(6)))
        (root / name / f"broken {number}.jpg").write_bytes(b"no image")
    driven = DrivenSession(
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
    driven = DrivenSession(
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


def session(folder: Path, tmp_path: Path, **config: object) -> DrivenSession:
    common = {"weights": "none", "image_size": 32, "batch_size": 4}
    return DrivenSession(data=str(folder), run_dir=str(tmp_path / "run"), **(common | config))  # type: ignore[arg-type]


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
    lost = [event.lost_class for event in driven.all(ImageSkipped) if event.lost_class]
    assert lost == ["Not one validation image of dark can be read."]
