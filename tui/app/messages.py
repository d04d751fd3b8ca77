"""Sentences said in passing: one after the other, each for as long as it takes to read it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from textual.message_pump import MessagePump
from textual.timer import Timer

from tl_tui.protocol.events import Audited
from tui.state.run_state import RunState

REMEMBERED = 200
"""Sentences kept to be read again."""


class Notices:
    """Hands out one sentence at a time."""

    def __init__(self, pump: MessagePump, show: Callable[[str], None]) -> None:
        """
        Args:
            pump: The app.
            show: Shows a sentence; empty when there is none.
        """
        self._pump, self._show = pump, show
        self._waiting: deque[str] = deque(maxlen=20)
        self._timer: Timer | None = None
        self.said: deque[str] = deque(maxlen=REMEMBERED)
        self._saying = ""
        """What is said while the timer runs."""
        self._insisted: list[str] = []

    def answer(self, sentence: str) -> None:
        """Say at once what a key did; what was being said gives way."""
        self.said.append(sentence)
        self._say(sentence)

    def again(self) -> None:
        """Show what is being said once more: what showed it before is gone."""
        if self._timer is not None:
            self._show(self._saying)
        else:
            self._next()

    def tell(self, sentence: str) -> None:
        """Say it when its turn comes."""
        self.said.append(sentence)
        if self._timer is None:
            self._say(sentence)
        else:
            self._waiting.append(sentence)

    def insist(self, sentence: str) -> None:
        """Say it until the user has taken it away; what is said in between only covers it."""
        self.said.append(sentence)
        if sentence not in self._insisted:
            self._insisted.append(sentence)
        if self._timer is None:
            self._next()

    def understood(self) -> bool:
        """Take away what is being said. False if there was nothing."""
        there = bool(self._insisted) or self._timer is not None
        if self._timer is None:
            self._insisted = self._insisted[1:]
        self._next()
        return there

    def done(self) -> None:
        """Something happened that says more than any sentence; `:` has them to be read again."""
        self._waiting.clear()
        self._next()

    def silence(self) -> None:
        """Something happened beside which nothing else counts, what was insisted on included."""
        self._insisted.clear()
        self.done()

    def _say(self, sentence: str) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._saying = sentence
        self._show(sentence)
        self._timer = self._pump.set_timer(2.5 + len(sentence) / 25, self._next)

    def _next(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._waiting:
            self._say(self._waiting.popleft())
        elif self._insisted:
            self._show(f"(Esc: read) {self._insisted[0]}")
        else:
            self._show("")


def lost_sentence(state: RunState) -> str:
    """What is lost with a dead engine, once another has taken its place; empty if nothing is."""
    if state.session is None or not state.step:
        return ""
    run = state.session.run_dir.rstrip("/").rpartition("/")[2]
    saved, start = state.training.goes_on_from, state.curves[-1].start
    if saved is not None:
        if (saved.start, saved.step) == (start, state.step):
            return ""
        lost = "what came after it" if saved.start == start else f"start {start}"
        return (
            f"The run goes on from its last checkpoint, start {saved.start}, step {saved.step:,}: "
            f"{lost} died with the engine."
        )
    return (
        f"From the first weights again, with your choices: step {state.step:,} died with the "
        f"engine. {run} has no checkpoint of this start."
    )


CAUSES = 2
"""Causes that an audit's sentence tells; the others are counted."""


def audit_sentence(audited: Audited) -> str:
    """What an audit found: how many tensors changed, and for each cause one of them by name."""
    if not audited.tensors:
        return "Audit: nothing was frozen, so there was nothing to compare."
    if not audited.findings:
        return f"Audit: all {audited.tensors:,} frozen tensors are bit for bit as before."
    by_cause: dict[str, list[str]] = {}
    for finding in audited.findings:
        by_cause.setdefault(finding.cause, []).append(finding.tensor)
    count = len(audited.findings)
    if count == 1:
        ((cause, (tensor,)),) = by_cause.items()
        return f"Audit: {tensor} changed though frozen: {cause}."
    said = [f"Audit: {count:,} of {audited.tensors:,} frozen tensors changed."]
    causes = sorted(by_cause.items(), key=lambda item: -len(item[1]))
    for cause, tensors in causes[:CAUSES]:
        more = f" and {len(tensors) - 1:,} more" if len(tensors) > 1 else ""
        said.append(f"{tensors[0]}{more}: {cause}.")
    if rest := sum(len(tensors) for _, tensors in causes[CAUSES:]):
        said.append(f"{rest:,} more by other causes.")
    return " ".join(said)
