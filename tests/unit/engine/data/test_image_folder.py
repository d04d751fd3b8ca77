"""Image folders are listed in every layout, with unusual names, symbolic links and many files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.dataset.image_folder import list_folder, open_folder
from engine.data.samples import DataProblem, ImageFolder, printable
from tests.support.driven_session import DrivenSession, draw_images, draw_tiny_images
from tl_tui.common.json_codec import dumps
from tl_tui.protocol.commands import Train
from tl_tui.protocol.training import ImageSkipped, StepTaken, TrainEnded, Validated


def two_classes(root: Path, count: int = 4) -> Path:
    return draw_tiny_images(
        root, *(f"{name}/{n}.png" for name in ("cat", "dog") for n in range(count))
    )


def test_listing_yields_counts_and_its_result_is_reproducible(
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
    assert folder != open_folder(tmp_path, seed=1), "the split does not depend on the seed"


def test_train_and_val_folders_are_listed(tmp_path: Path) -> None:
    folder = open_folder(draw_images(tmp_path / "set", train=4, val=3))
    assert folder.classes == ("dark", "light") and folder.name == "set"
    assert (len(folder.train), len(folder.val)) == (8, 6)


def test_class_folders_without_val_get_a_stratified_seeded_split(tmp_path: Path) -> None:
    root = draw_images(tmp_path, train=10, val=1) / "train"
    first, again, other = open_folder(root), open_folder(root), open_folder(root, seed=1)
    assert first == again and first.val != other.val
    assert [sum(s.label == label for s in first.val) for label in (0, 1)] == [2, 2]
    assert not {s.path for s in first.train} & {s.path for s in first.val}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "no such folder"),
        (lambda root: root.write_text("x"), "is a file"),
        (lambda root: root.mkdir(), "no class folders"),
        (lambda root: (root / "cat").mkdir(parents=True), "hold no images"),
    ],
)
def test_an_unusable_folder_is_refused(make, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "set")
    with pytest.raises(DataProblem, match=message):
        open_folder(tmp_path / "set")


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    root = draw_images(tmp_path)
    for file in (root / "train" / "light").iterdir():
        file.unlink()
    with pytest.raises(DataProblem, match="only one class"):
        open_folder(root)


def test_a_class_in_val_but_not_in_train_is_refused(tmp_path: Path) -> None:
    root = draw_images(tmp_path)
    (root / "val" / "grey").mkdir()
    with pytest.raises(DataProblem, match="grey"):
        open_folder(root)


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_validation_folders_have_three_names_and_test_is_ignored(name: str, tmp_path: Path) -> None:
    two_classes(tmp_path / "train")
    two_classes(tmp_path / name, 2)
    two_classes(tmp_path / "test", 3)
    folder = open_folder(tmp_path)
    assert (len(folder.train), len(folder.val)) == (8, 4)


def test_train_without_val_is_split(tmp_path: Path) -> None:
    two_classes(tmp_path / "train", 10)
    folder = open_folder(tmp_path)
    assert (len(folder.train), len(folder.val)) == (16, 4)


def test_the_only_image_of_a_class_is_used_for_training(tmp_path: Path) -> None:
    two_classes(tmp_path)
    draw_tiny_images(tmp_path, "bird/only.png")
    folder = open_folder(tmp_path)
    assert [Path(s.path).name for s in folder.train if s.label == 0] == ["only.png"]
    assert not [s for s in folder.val if s.label == 0]


def test_a_circle_of_symbolic_links_ends(tmp_path: Path) -> None:
    two_classes(tmp_path)
    (tmp_path / "cat" / "again").symlink_to(tmp_path / "cat", target_is_directory=True)
    (tmp_path / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    more = draw_tiny_images(tmp_path.with_name("elsewhere"), "extra.png")
    (tmp_path / "dog" / "more").symlink_to(more, target_is_directory=True)
    folder = open_folder(tmp_path)
    names = sorted(Path(sample.path).name for sample in folder.train + folder.val)
    assert names == sorted(["0.png", "1.png", "2.png", "3.png"] * 2 + ["extra.png", "gone.png"])


def test_the_same_one_of_two_links_to_a_folder_is_always_followed(tmp_path: Path) -> None:
    """No image is listed twice, in whichever order the file system lists the links."""
    paths = []
    for order in (("a", "b"), ("b", "a")):
        root = two_classes(tmp_path / order[0])
        more = draw_tiny_images(tmp_path / f"{order[0]} more", "extra.png")
        for name in order:
            (root / "dog" / name).symlink_to(more, target_is_directory=True)
        folder = open_folder(root)
        extra = [s.path for s in folder.train + folder.val if s.path.endswith("extra.png")]
        paths += [Path(path).relative_to(root) for path in extra]
    assert paths == [Path("dog/a/extra.png")] * 2


def test_self_links_are_ignored_and_folders_named_like_images_are_listed(tmp_path: Path) -> None:
    two_classes(tmp_path)
    (tmp_path / "cat" / "round").symlink_to(tmp_path / "cat" / "round")
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    draw_tiny_images(tmp_path, "cat/folder.jpg/inside.png")
    folder = open_folder(tmp_path)
    assert folder.classes == ("cat", "dog")
    names = [Path(s.path).name for s in folder.train + folder.val if s.label == 0]
    assert sorted(names) == ["0.png", "1.png", "2.png", "3.png", "inside.png"]


def test_a_class_may_be_named_train(tmp_path: Path) -> None:
    draw_tiny_images(
        tmp_path, *(f"{name}/{n}.png" for name in ("plane", "train") for n in range(5))
    )
    folder = open_folder(tmp_path)
    assert folder.classes == ("plane", "train") and len(folder.train) == 8


def test_other_and_hidden_files_are_ignored_but_still_yield_counts(tmp_path: Path) -> None:
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


def test_a_folder_removed_during_listing_is_ignored(tmp_path: Path) -> None:
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


def test_classes_with_unusual_names_can_be_trained(tmp_path: Path) -> None:
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
def test_an_image_whose_name_is_not_utf8_is_read_and_reported(tmp_path: Path) -> None:
    two_classes(tmp_path, 6)
    renamed = os.fsencode(tmp_path / "cat") + b"/\xff\xfe.png"
    os.rename(os.fsencode(tmp_path / "cat" / "0.png"), renamed)
    broken = os.fsencode(tmp_path / "dog") + b"/\xe9.png"
    with open(broken, "wb") as file:
        file.write(b"no image")
    driven = DrivenSession(
        data=str(tmp_path), weights="none", image_size=32, batch_size=4, run_dir=str(tmp_path / "r")
    )
    driven.do(Train, steps=driven.opened.batches_per_epoch)
    skipped = [event.path for event in driven.all(ImageSkipped)]
    assert skipped == [f"{tmp_path}/dog/\\xe9.png"]
    assert "\\\\xe9" in dumps({"path": skipped[0]})


@given(st.binary(max_size=30))
def test_printable_names_can_always_be_encoded(name: bytes) -> None:
    text = printable(os.fsdecode(name))
    text.encode("utf-8")
    assert dumps(text)


# --- unreadable images --------------------------------------------------------------------------


def session(folder: Path, tmp_path: Path, **config: object) -> DrivenSession:
    common = {"weights": "none", "image_size": 32, "batch_size": 4}
    return DrivenSession(data=str(folder), run_dir=str(tmp_path / "run"), **(common | config))  # type: ignore[arg-type]


def test_images_deleted_during_training_are_skipped(tmp_path: Path) -> None:
    folder = draw_images(tmp_path / "images")
    driven = session(folder, tmp_path)
    deleted = sorted((folder / "train" / "dark").iterdir())[:5]
    for path in deleted:
        path.unlink()
    driven.do(Train, steps=2 * driven.opened.batches_per_epoch)
    skipped = {event.path for event in driven.all(ImageSkipped)}
    # Images of the first batch may have been decoded ahead, before they were deleted.
    assert skipped <= {str(path) for path in deleted} and len(skipped) >= 1
    assert driven.last(TrainEnded).reason == "done"


def test_a_batch_with_a_single_readable_image_is_skipped(tmp_path: Path) -> None:
    folder = draw_images(tmp_path / "images", train=4, val=2)
    everything = sorted((folder / "train").rglob("*.png"))
    for path in everything[:3] + everything[4:7]:
        path.write_bytes(b"")
    driven = session(folder, tmp_path, batch_size=8)
    driven.do(Train, steps=3)
    assert {step.batch for step in driven.all(StepTaken)} == {2}


def test_a_class_without_readable_images_is_reported(tmp_path: Path) -> None:
    folder = draw_images(tmp_path / "images")
    for path in (folder / "val" / "dark").iterdir():
        path.write_bytes(b"\x89PNG\r\n")
    driven = session(folder, tmp_path)
    driven.do(Train, steps=1)
    result = driven.last(Validated)
    assert result.per_class[0] == (0, 0) and result.total == 6 and result.skipped_images == 6
    lost = [event.lost_class for event in driven.all(ImageSkipped) if event.lost_class]
    assert lost == ["Not one validation image of dark can be read."]
