"""The lines of a script that find its images, tried out before they are written.

A few lines say where most folders' images are. Where they would find other images than the run
had, or another order, the images are listed in a file beside the script.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from engine.data.decoding import LONGEST
from engine.data.image_folder import VALIDATION_NAMES
from engine.data.samples import ImageFolder, Sample, printable
from engine.export.script.facts import DataSection, ImageFacts
from engine.export.script.literals import literal, path_lines, quoted

MOST_NAMED = 12
"""Classes that are named in the script; more are read from the folder."""
NAMES_A_UNIT = 200


def data_section(
    folder: ImageFolder, root: str, labels: str | None, seed: int, listing_name: str
) -> DataSection:
    """The shortest lines that list what the run had.

    Args:
        folder: What the run had.
        root: The image folder.
        labels: The labels file, if the run had one.
        seed: Of the run; where the folder has no validation images it decides which are.
        listing_name: What to call the file beside the script, should it be needed.
    """
    if labels is not None:
        tries = [_by_labels(folder, root, labels)]
    else:
        tries = [
            _by_folders(folder, root, deep=deep, named=named)
            for deep in (False, True)
            for named in (len(folder.classes) <= MOST_NAMED, False)
        ]
    for section in tries:
        if _finds(section, folder, seed):
            return section
    return _by_listing(folder, root, listing_name)


def _finds(section: DataSection, folder: ImageFolder, seed: int) -> bool:
    """Run the lines as the script will."""
    names: dict[str, Any] = {"Path": Path, "SEED": seed}
    lines = [*sorted(section.imports), *section.settings, *section.code]
    try:
        exec(compile("\n".join(lines), "data section", "exec"), names)
    except Exception:  # whatever a strange folder brings about: the listing does without
        return False
    same = [
        [(os.path.abspath(path), label) for path, label in names[part]]
        == [(os.path.abspath(sample.path), sample.label) for sample in samples]
        for part, samples in (("train", folder.train), ("val", folder.val))
    ]
    return all(same) and list(names["CLASSES"]) == list(folder.classes)


# --- the ways to find images --------------------------------------------------------------------


def _by_folders(folder: ImageFolder, root: str, *, deep: bool, named: bool) -> DataSection:
    parts = os.listdir(root)
    split = "train" in parts and folder.train[0].path.startswith(os.path.join(root, "train", ""))
    beside = next((name for name in VALIDATION_NAMES if split and name in parts), None)
    top = 'DATA / "train"' if split else "DATA"
    within = f"({top})" if split else top
    what = f"train/ and {beside}/, with a folder a class in each" if beside else "a folder a class"
    settings = path_lines("DATA", root, what)
    if named:
        settings.append(f"CLASSES = {literal(list(folder.classes), 10)}")
    else:
        settings.append(f"CLASSES = sorted(one.name for one in {within}.iterdir() if one.is_dir())")
    samples = (*folder.train, *folder.val)
    endings = sorted({os.path.splitext(sample.path)[1].lower() for sample in samples})
    settings.append(f"ENDINGS = {literal(set(endings), 10)}")
    names = '.rglob("*")' if deep else ".iterdir()"
    key = ", key=str" if deep else ""
    code = [
        "def images_in(folder):",
        '    """(path, label) of every image: class by class, in the order of their names."""',
        "    return [",
        "        (str(path), label)",
        "        for label, name in enumerate(CLASSES)",
        f"        for path in sorted((folder / name){names}{key})",
        "        if path.suffix.lower() in ENDINGS",
        "    ]",
        "",
        "",
    ]
    if beside:
        code.append(f'train, val = images_in({top}), images_in(DATA / "{beside}")')
        return DataSection(settings, code)
    code += [*_SPLIT, f"train, val = split(images_in({top}))"]
    return DataSection(settings, code, {"import random"})


_SPLIT = (
    '''\
def split(samples):
    """A fifth of every class for validation; the seed decides which."""
    train, val = [], []
    for label in range(len(CLASSES)):
        mine = [sample for sample in samples if sample[1] == label]
        count = max(1, round(0.2 * len(mine))) if len(mine) > 1 else 0
        chosen = set(random.Random(f"{SEED} {label}").sample(range(len(mine)), count))
        train += [sample for place, sample in enumerate(mine) if place not in chosen]
        val += [sample for place, sample in enumerate(mine) if place in chosen]
    return train, val

'''.splitlines()
    + [""]
)


def _by_labels(folder: ImageFolder, root: str, labels: str) -> DataSection:
    with open(labels, encoding="utf-8-sig", newline="") as file:
        header = [cell.strip().lower() for cell in file.readline().split(",")]
    split = "split" in header
    settings = [
        *path_lines("DATA", root),
        *path_lines("LABELS", labels, f"its columns: {', '.join(header)}"),
        f"CLASSES = {literal(list(folder.classes), 10)}",
    ]
    code = [
        'with open(LABELS, encoding="utf-8-sig", newline="") as file:',
        '    rows = sorted(csv.DictReader(file), key=lambda row: (row["label"], row["path"]))',
    ]
    sample = '(str(DATA / row["path"]), CLASSES.index(row["label"]))'
    if split and _has_validation(labels):
        code += [
            f'train = [{sample} for row in rows if row["split"] != "val"]',
            f'val = [{sample} for row in rows if row["split"] == "val"]',
        ]
        code = [part for line in code for part in _broken(line)]
        return DataSection(settings, code, {"import csv"})
    code += ["", "", *_SPLIT, *_broken(f"train, val = split([{sample} for row in rows])")]
    return DataSection(settings, code, {"import csv", "import random"})


def _has_validation(labels: str) -> bool:
    with open(labels, encoding="utf-8-sig", newline="") as file:
        return any(row.get("split") == "val" for row in csv.DictReader(file))


def _broken(line: str) -> list[str]:
    """A comprehension over several lines, if it is too long for one."""
    if len(line) <= 100:
        return [line]
    begin, _, rest = line.partition("[(")
    what, _, loop = rest.partition(" for row in ")
    loop, end = loop.rstrip(")").removesuffix("]"), ")" if line.endswith(")") else ""
    rows, condition, test = loop.partition(" if ")
    return [
        f"{begin}[",
        f"    ({what}",
        f"    for row in {rows}",
        *([f"    if {test}"] if condition else []),
        f"]{end}",
    ]


def _by_listing(folder: ImageFolder, root: str, name: str) -> DataSection:
    settings = [
        *path_lines("DATA", root),
        f"LISTING = Path(__file__).with_name({quoted(name)})  # its columns: path, label, split",
        f"CLASSES = {literal(list(folder.classes), 10)}",
    ]
    code = [
        'with open(LISTING, encoding="utf-8", errors="surrogateescape", newline="") as file:',
        "    rows = list(csv.DictReader(file))",
        'train = [(row["path"], int(row["label"])) for row in rows if row["split"] == "train"]',
        'val = [(row["path"], int(row["label"])) for row in rows if row["split"] == "val"]',
    ]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["path", "label", "split"])
    for part, samples in (("train", folder.train), ("val", folder.val)):
        table.writerows([os.path.abspath(path), label, part] for path, label in samples)
    return DataSection(settings, code, {"import csv"}, listing=text.getvalue())


# --- the images themselves ----------------------------------------------------------------------


def image_facts(folder: ImageFolder) -> Iterator[ImageFacts | None]:
    """What the images need, from their headers; yields None now and then, and at last the facts."""
    facts = ImageFacts()
    for number, sample in enumerate((*folder.train, *folder.val)):
        if number % NAMES_A_UNIT == NAMES_A_UNIT - 1:
            yield None
        _look_at(sample, facts)
    yield facts


def _look_at(sample: Sample, facts: ImageFacts) -> None:
    try:
        with Image.open(sample.path) as image:
            width, height = image.size
            if max(width, height) > LONGEST * min(width, height):
                facts.strips = True
            if image.mode.startswith("I;16"):
                facts.deep = True
                plain = image.format != "TIFF" and not image.has_transparency_data
            else:
                facts.transparent |= image.has_transparency_data
                plain = image.mode not in ("I", "F", "La", "PA")
            if not plain and not facts.unusual:
                facts.unusual = f"{printable(sample.path)} ({image.format}, mode {image.mode})"
    except Exception:  # the run met it too, and left it out
        return
