"""The dataset that a labels file describes: its splits, what is left out, and what looks wrong."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

from engine.data.dataset.labels_file import LabelRow, LabelsFile, read_labels_file
from engine.data.dataset.left_out import Tally
from engine.data.dataset.listing import Lister
from engine.data.dataset.resolved_paths import ResolvedPaths
from engine.data.samples import A_FIFTH, DataProblem, ImageFolder, Sample, printable
from engine.data.splits import stratified
from tl_tui.protocol.config import IMAGE_RULES
from tl_tui.protocol.dataset import LeftOut
from tl_tui.settings.columns import parse_columns

ROWS_PER_YIELD = 1000
"""The number of rows to read between two yields."""
NAMES_LISTED = 50_000
"""The largest number of files in a folder that are compared with the rows."""
MOST_NAMED = 3
"""The number of similar labels, or of classes, that a sentence names one by one."""


def read_rows(
    file: Path, directory: Path, columns: str | None, rules: int = IMAGE_RULES
) -> Iterator[int | LabelsFile]:
    """Read a labels file; yield the number of rows about once per thousand, at last the file.

    Args:
        file: The labels file.
        directory: The folder that paths are relative to.
        columns: The option `--columns`.
        rules: See `RunConfig.image_rules`.
    """
    for read in read_labels_file(file, directory, parse_columns(columns), rules):
        if isinstance(read, LabelsFile) or read % ROWS_PER_YIELD == 0:
            yield read


def labelled_dataset(
    directory: Path, file: Path, name: str, seed: int, columns: str | None, rules: int
) -> Iterator[int | ImageFolder]:
    """Return the dataset of a labels file. Rows marked test are left out.

    Args:
        directory: The folder that paths are relative to.
        file: The labels file.
        name: Name of the dataset.
        seed: Random seed for the split, if no row is marked as validation.
        columns: The option `--columns`.
        rules: See `RunConfig.image_rules`.

    Yields:
        The number of rows read so far, about once per thousand; at last the dataset.

    Raises:
        DataProblem: There are too few images or classes.
        LabelsProblem: The file cannot be used.
    """
    where = f"--labels {printable(str(file))}"
    for item in read_rows(file, directory, columns, rules):
        if isinstance(item, LabelsFile):
            read = item
        else:
            yield item
    yield len(read.rows)
    test = [row for row in read.rows if row.split == "test"]
    rows = [row for row in read.rows if row.split != "test"]
    if test and not rows:
        raise DataProblem(f"{where}: every row is marked test; mark some train and val.")
    classes = tuple(sorted({row.label for row in rows}))
    if len(classes) < 2:
        reason = f"only one class ({classes[0]})" if classes else "no images"
        raise DataProblem(f"{where}: {reason}; a classifier needs at least two classes.")
    index = {label: number for number, label in enumerate(classes)}
    rows.sort(key=lambda row: (row.label, row.path))
    train = [Sample(row.path, index[row.label]) for row in rows if row.split != "val"]
    val = [Sample(row.path, index[row.label]) for row in rows if row.split == "val"]
    findings = list(_findings(read, [row.label for row in rows]))
    validation = f"rows marked {mark_of(read, 'val')} in the column {_split_names(read)}"
    if val and (count := read.without_split):
        one = "row without a split is" if count == 1 else "rows without a split are"
        findings.append(f"{count:,} {one} used for training.")
    if not val:
        train, val = stratified(train, seed)
        validation = A_FIFTH
    if not train:
        raise DataProblem(f"{where}: no row is marked train; mark some.")
    missing = set(index.values()) - {sample.label for sample in train}
    if missing:
        raise DataProblem(
            f"{where}: the class {classes[min(missing)]} has no training image; add one."
        )
    if not val:
        raise DataProblem(f"{where}: too few images to keep any for validation; add some.")
    unnamed = yield from _images_without_row(directory, read)
    yield ImageFolder(
        name,
        classes,
        tuple(train),
        tuple(val),
        validation=validation,
        left_out=(
            *_left_out_rows(test, mark_of(read, "test"), "kept for `tl-tui evaluate`"),
            *unnamed,
            *read.unused,
        ),
        findings=tuple(findings),
        unreadable={row.path: "there is no such file" for row in rows if row.missing},
    )


def rows_to_evaluate(read: LabelsFile) -> tuple[list[LabelRow], str]:
    """Return the rows to evaluate a model on, and their split.

    That is the rows marked test if there are any, else those marked val, else all rows, with an
    empty split.
    """
    for split in ("test", "val"):
        if rows := [row for row in read.rows if row.split == split]:
            return rows, split
    return read.rows, ""


def left_out_rows(read: LabelsFile, split: str) -> Iterator[LeftOut]:
    """Yield how many rows belong to other splits than the one that is evaluated."""
    if split:
        rest = [row for row in read.rows if row.split != split]
        if rest:
            kind = "row" if len(rest) == 1 else "rows"
            yield LeftOut(kind=f"{kind} not marked {mark_of(read, split)}", count=len(rest))


def _split_names(read: LabelsFile) -> str:
    return " and ".join(printable(read.columns.names[index]) for index in read.columns.split)


def mark_of(read: LabelsFile, split: str) -> str:
    """Return how the file itself calls a split, such as `holdout` for `test`."""
    words = sorted(read.marks.get(split, ()))
    if not words:
        return split
    more = len(words) - MOST_NAMED
    if more > 0:
        words[MOST_NAMED:] = [f"{more:,} more"]
    return printable(" or ".join(words))


def _images_without_row(
    directory: Path, read: LabelsFile
) -> Generator[int, None, tuple[LeftOut, ...]]:
    """Count the images in the folder that no row names, unless it holds very many files.

    Yields:
        The number of rows.

    Returns:
        The count with an example; nothing if there are none.
    """
    paths = ResolvedPaths()
    named = {paths.resolve(row.path) for row in read.rows}
    tally = Tally(str(directory))
    names = 0
    try:
        for path in Lister(str(directory)).walk(str(directory)):
            names += 1
            if names > NAMES_LISTED:
                return ()
            if names % ROWS_PER_YIELD == 0:
                yield len(read.rows)
            if path is not None and paths.resolve(path) not in named:
                tally.add("images that no row names", path)
    except OSError:  # a folder that no row needs may be closed
        return ()
    return tally.items()


def _left_out_rows(rows: list[LabelRow], mark: str, reason: str) -> Iterator[LeftOut]:
    if rows:
        yield LeftOut(
            kind=f"row marked {mark}" if len(rows) == 1 else f"rows marked {mark}",
            count=len(rows),
            example=printable(rows[0].path),
            reason=reason,
        )


# --- what looks wrong ---------------------------------------------------------------------------


def _findings(read: LabelsFile, labels: Iterable[str]) -> Iterator[str]:
    """Yield sentences about labels that are nearly the same, and about names that are not clear."""
    alike: dict[str, set[str]] = defaultdict(set)
    for label in set(labels):
        alike[_folded(label)].add(label)
    groups = [sorted(group) for group in alike.values() if len(group) > 1]
    if groups:
        yield (
            f"Some classes have nearly the same name: {_listed(groups)}. If they are one class, "
            "write their labels alike."
        )
    spaced = sorted(label for label, cells in read.spellings.items() if len(cells) > 1)
    if spaced:
        shown = [[f"“{cell}”" for cell in sorted(read.spellings[label])] for label in spaced]
        yield f"Labels that differ only in spaces around them count as one class: {_listed(shown)}."
    if read.ambiguous:
        one = read.ambiguous == 1
        yield (
            f"{read.ambiguous:,} {'name fits' if one else 'names fit'} several images with "
            "different endings; the first of .jpg, .jpeg, .png, ... is used. Write the ending."
        )


def _listed(groups: list[list[str]]) -> str:
    shown = "; ".join(printable(" and ".join(group)) for group in groups[:MOST_NAMED])
    more = len(groups) - MOST_NAMED
    return shown if more <= 0 else f"{shown}; and {more:,} more"


def _folded(label: str) -> str:
    """Return a label without case, separators, Unicode form and trailing zeros."""
    text = " ".join(unicodedata.normalize("NFKC", label).casefold().replace("_", " ").split())
    text = text.replace("-", " ") if not text.startswith("-") else text
    try:
        number = float(text)
    except ValueError:
        return text
    return repr(number) if number == number else text
