"""The lines of a script that list its images, tested before they are written.

A few lines are enough for most folders. If they would list other images than the run had, or in a
different order, a CSV file next to the script lists the images instead.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

from engine.data.dataset.layout import Layout, recognise, recognise_first
from engine.data.dataset.left_out import Tally
from engine.data.samples import ImageFolder
from engine.export.script.facts import DataSection
from engine.export.script.literals import WIDTH, literal, path_lines, quoted
from tl_tui.protocol.config import IMAGE_RULES

MAX_NAMED_CLASSES = 12
"""Up to this number, the classes are named in the script; otherwise the script lists the folder."""


def data_section(
    folder: ImageFolder,
    root: str,
    labels: str | None,
    seed: int,
    listing_name: str,
    rules: int = IMAGE_RULES,
) -> DataSection:
    """Return the shortest lines that list the images of the run.

    Args:
        folder: The images of the run.
        root: The image folder.
        labels: The labels file, if the run had one.
        seed: The seed of the run. It chooses the validation images if the folder has none.
        listing_name: The name of the file that lists the images, if one is needed.
        rules: The rules by which the run found its images; see `RunConfig.image_rules`.
    """
    if labels is not None:
        candidates = [_by_labels(folder, root, labels)]
    else:
        layout = recognise_first(Path(root)) if rules == 1 else recognise(Path(root), "", Tally(""))
        candidates = [
            _by_folders(folder, root, layout, deep=deep, named=named)
            for deep in (False, True)
            for named in (len(folder.classes) <= MAX_NAMED_CLASSES, False)
        ]
    for section in candidates:
        if _lists_same_images(section, folder, seed):
            return section
    return _by_listing(folder, root, listing_name)


def _lists_same_images(section: DataSection, folder: ImageFolder, seed: int) -> bool:
    """Execute the lines as the script will, and compare their images with those of the run."""
    names: dict[str, Any] = {"Path": Path, "SEED": seed}
    lines = [*sorted(section.imports), *section.settings, *section.code]
    try:
        exec(compile("\n".join(lines), "data section", "exec"), names)
    except Exception:  # an unusual folder can raise anything; the CSV file works for all
        return False
    same = [
        [(os.path.abspath(path), label) for path, label in names[part]]
        == [(os.path.abspath(sample.path), sample.label) for sample in samples]
        for part, samples in (("train", folder.train), ("val", folder.val))
    ]
    return all(same) and list(names["CLASSES"]) == list(folder.classes)


# --- ways to list images ------------------------------------------------------------------------


def _by_folders(
    folder: ImageFolder, root: str, found: Layout, *, deep: bool, named: bool
) -> DataSection:
    def expression(path: Path) -> str:
        return " / ".join(["DATA", *map(quoted, path.relative_to(root).parts)])

    train_folder = expression(found.train)
    class_parent = f"({train_folder})" if found.train != Path(root) else train_folder
    layout = "one folder per class"
    if found.validation:
        layout = f"{found.train.name}/ and {found.validation.name}/ with {layout}"
    settings = path_lines("DATA", root, layout)
    if named:
        settings.append(f"CLASSES = {literal(list(folder.classes), 10)}")
    else:
        settings.append(
            f"CLASSES = sorted(path.name for path in {class_parent}.iterdir() if path.is_dir())"
        )
    samples = (*folder.train, *folder.val)
    extensions = {os.path.splitext(sample.path)[1].lower() for sample in samples}
    settings.append(f"EXTENSIONS = {literal(extensions, 13)}")
    paths = '.rglob("*")' if deep else ".iterdir()"
    key = ", key=str" if deep else ""
    code = [
        "def list_images(folder):",
        '    """Return (path, label) of every image, sorted by class and path."""',
        "    return [",
        "        (str(path), label)",
        "        for label, name in enumerate(CLASSES)",
        f"        for path in sorted((folder / name){paths}{key})",
        "        if path.suffix.lower() in EXTENSIONS",
        "    ]",
        "",
        "",
    ]
    if found.validation:
        val_folder = expression(found.validation)
        code.append(f"train, val = list_images({train_folder}), list_images({val_folder})")
        return DataSection(settings, code)
    code += [*_SPLIT, f"train, val = split(list_images({train_folder}))"]
    return DataSection(settings, code, {"import random"})


_SPLIT = (
    '''\
def split(samples):
    """Split off a random fifth of every class for validation."""
    train, val = [], []
    for label in range(len(CLASSES)):
        in_class = [sample for sample in samples if sample[1] == label]
        count = max(1, round(0.2 * len(in_class))) if len(in_class) > 1 else 0
        chosen = set(random.Random(f"{SEED} {label}").sample(range(len(in_class)), count))
        train += [sample for index, sample in enumerate(in_class) if index not in chosen]
        val += [sample for index, sample in enumerate(in_class) if index in chosen]
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
        *path_lines("LABELS", labels, f"columns: {', '.join(header)}"),
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
        code = [part for line in code for part in _wrap_comprehension(line)]
        return DataSection(settings, code, {"import csv"})
    listing = _wrap_comprehension(f"train, val = split([{sample} for row in rows])")
    code += ["", "", *_SPLIT, *listing]
    return DataSection(settings, code, {"import csv", "import random"})


def _has_validation(labels: str) -> bool:
    with open(labels, encoding="utf-8-sig", newline="") as file:
        return any(row.get("split") == "val" for row in csv.DictReader(file))


def _wrap_comprehension(line: str) -> list[str]:
    """Split a line with a list comprehension over the rows into several, if it is too long."""
    if len(line) <= WIDTH:
        return [line]
    before, _, rest = line.partition("[(")
    item, _, loop = rest.partition(" for row in ")
    loop, after = loop.rstrip(")").removesuffix("]"), ")" if line.endswith(")") else ""
    rows, has_condition, condition = loop.partition(" if ")
    return [
        f"{before}[",
        f"    ({item}",
        f"    for row in {rows}",
        *([f"    if {condition}"] if has_condition else []),
        f"]{after}",
    ]


def _by_listing(folder: ImageFolder, root: str, name: str) -> DataSection:
    settings = [
        *path_lines("DATA", root),
        f"LISTING = Path(__file__).with_name({quoted(name)})  # columns: path, label, split",
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
    for split, samples in (("train", folder.train), ("val", folder.val)):
        table.writerows([os.path.abspath(path), label, split] for path, label in samples)
    return DataSection(settings, code, {"import csv"}, listing=text.getvalue())
