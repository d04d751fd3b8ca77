"""The page about the dataset: images per class, the source of validation, what was left out."""

from __future__ import annotations

from tl_tui.protocol.session import SessionOpened
from tui.drawing.lines import Line, line, wrapped
from tui.drawing.sanitize import padded, sanitize
from tui.drawing.theme import Glyphs, Palette
from tui.screens.text_page import TextPage

COUNT_CELLS = 12
"""The width of a column of counts, in cells."""
MOST_LINES = 40
"""The largest number of lines of one paragraph."""


class DatasetPage(TextPage):
    """A page with everything that is known about the images of a session."""

    def __init__(self, session: SessionOpened, appearance: tuple[Palette, Glyphs]) -> None:
        super().__init__("dataset", appearance)
        self.session = session

    def content(self, width: int) -> list[Line]:
        dataset = self.session.dataset
        lines: list[Line] = []
        for finding in dataset.findings:
            lines += [
                line((text, "strong")) for text in self._paragraph(f"Warning: {finding}", width)
            ]
            lines.append(())
        source = dataset.validation or "not known"
        lines += [line(text) for text in self._paragraph(f"Validation images: {source}", width)]
        lines += [(), *self._table(width)]
        if dataset.left_out:
            lines += [(), line(("Left out", "strong"))]
        for item in dataset.left_out:
            more = "; ".join(part for part in (item.example, item.reason) if part)
            text = f"{item.count:,} {item.kind}" + (f": {more}" if more else "")
            first, *rest = self._paragraph(text, width - 2)
            lines += [line(first), *(line(f"  {part}") for part in rest)]
        if not dataset.left_out:
            lines += [(), line("Nothing was left out.")]
        return lines

    def _paragraph(self, text: str, width: int) -> list[str]:
        return wrapped(self.appearance[1].text(sanitize(text)), width, MOST_LINES) or [""]

    def _table(self, width: int) -> list[Line]:
        """Return the number of training and validation images of each class."""
        classes, dataset = self.session.classes, self.session.dataset
        room = width - 2 * COUNT_CELLS
        heading = f"{'class':<{room}}{'training':>{COUNT_CELLS}}{'validation':>{COUNT_CELLS}}"
        rows = [
            _row(self.appearance[1].text(sanitize(name)), train, val, room)
            for name, train, val in zip(
                classes, dataset.train_counts, dataset.val_counts, strict=False
            )
        ]
        total = _row(
            f"{len(classes):,} classes", self.session.train_images, self.session.val_images, room
        )
        return [line((heading, "strong")), *rows, total]


def _row(name: str, train: int, val: int, room: int) -> Line:
    label = f"{padded(name, room - 1)} "
    return line(f"{label}{train:>{COUNT_CELLS},}{val:>{COUNT_CELLS},}")
