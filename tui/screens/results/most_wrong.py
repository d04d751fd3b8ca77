"""The most wrong images by path: what they are, what the model said, how sure it was."""

from __future__ import annotations

from rich.cells import cell_len

from tl_tui.common.metrics import share_words
from tui.drawing.lines import Line, line, shorten_middle
from tui.drawing.sanitize import padded, sanitize
from tui.screens.full_screen import Body, body
from tui.screens.results.section import Section


class MostWrong(Section):
    title = "most wrong"

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        return (("v", "as pictures"),)

    def body(self, width: int, height: int) -> Body:
        wrong = self.results.most_wrong
        if not wrong:
            return body([line("  No image is wrong.")])
        total = self.results.total - self.results.correct
        shown = f"{total:,} wrong" if len(wrong) == total else f"{len(wrong)} of {total:,} wrong"
        names = {one.label for one in wrong} | {one.predicted for one in wrong}
        longest = max(cell_len(self.name(index)) for index in names)
        name = min(longest, max(6, (width - 12) // 4))
        sure = f"  sure  {padded('said', name)}  {padded('is', name)}  {shown}, the surest first"
        room = width - 8 - 2 * name - 5

        def at(number: int) -> Line:
            one = wrong[number]
            path = shorten_middle(self.glyphs.text(sanitize(one.path)), room)
            return line(
                (f"  {share_words(one.probability):>4}  ", "strong"),
                f"{padded(self.name(one.predicted), name)}  {padded(self.name(one.label), name)}  ",
                (path, "dim"),
            )

        return Body([line((padded(sure, width), "dim"))], len(wrong), at)
