"""The wrongly classified images with the highest probabilities, by path."""

from __future__ import annotations

from rich.cells import cell_len

from tl_tui.common.metrics import share_words
from tui.drawing.lines import Line, line, shorten_path
from tui.drawing.sanitize import padded, sanitize
from tui.screens.full_screen import Body, body
from tui.screens.results.section import Section


class MostWrong(Section):
    """A list of wrong images: probability, predicted class, label and path."""

    title = "most wrong"

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        return (("v", "as pictures"),)

    def body(self, width: int, height: int) -> Body:
        wrong = self.results.most_wrong
        if not wrong:
            return body([line("  Every image is classified correctly.")])
        total = self.results.total - self.results.correct
        shown = f"{total:,} wrong" if len(wrong) == total else f"{len(wrong)} of {total:,} wrong"
        classes = {image.label for image in wrong} | {image.predicted for image in wrong}
        longest = max(cell_len(self.name(index)) for index in classes)
        name = min(longest, max(6, (width - 12) // 4))
        heading = (
            f"  prob  {padded('predicted', name)}  {padded('label', name)}  "
            f"{shown}, highest probability first"
        )
        room = width - 8 - 2 * name - 5

        def at(number: int) -> Line:
            image = wrong[number]
            path = shorten_path(self.glyphs.text(sanitize(image.path)), room)
            predicted, label = self.name(image.predicted), self.name(image.label)
            return line(
                (f"  {share_words(image.probability):>4}  ", "strong"),
                f"{padded(predicted, name)}  {padded(label, name)}  ",
                (path, "dim"),
            )

        return Body([line((padded(heading, width), "dim"))], len(wrong), at)
