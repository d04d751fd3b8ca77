"""Compares what the main screen says with what the engine did.

It reads the text alone. The step of a number is found by its digits (see `simulated_training`), and
the step that the screen names is found in the text beside it.
"""

from __future__ import annotations

import re

from tests.support.screen_truth.reading import ScreenText
from tests.support.screen_truth.simulated_run import SimulatedRun
from tests.support.screen_truth.truth import (
    CLASSES,
    HORIZON,
    VAL,
    VAL_MAJORITY,
    YARDSTICK,
    YARDSTICK_MAJORITY,
    Moment,
)

WHEN = r"(?:start (?P<start>\d+), )?step (?P<step>\d+)"
"""How the screen names a step."""


class Reading:
    """Compares one reading of the screen with the truth."""

    def __init__(self, run: SimulatedRun, text: ScreenText) -> None:
        """
        Args:
            run: What the engine did.
            text: The screen.
        """
        self.run, self.text, self.truth = run, text, run.known
        self.now = self.truth.moment

    def of(self, code: str) -> Moment:
        """Return the moment that a number belongs to, by its digits."""
        return self.run.moment_of(int(code))

    def named(self, text: str, otherwise: Moment) -> Moment:
        """Return the moment that a text names; without a name it is that of its surroundings."""
        found = re.search(WHEN, re.sub(r"@(?=\d)", "step ", text))
        if found is None:
            return otherwise
        start = self.now[0] if found["start"] is None else int(found["start"])
        return start, int(found["step"])

    def check(self) -> None:
        self.check_loss_line()
        self.check_layers()
        self.check_inspector()
        self.check_panels()
        self.check_results()
        self.check_title()
        self.check_caption()
        self.check_empty_curves()

    def check_loss_line(self) -> None:
        line, truth = self.text.loss, self.truth
        loss = re.search(r"loss 0\.0(\d\d)", line)
        assert (loss is not None) == truth.stepped, line
        if loss is None:
            return
        assert self.of(loss[1]) == self.now == self.named(line.rpartition("  ")[2], (-1, -1)), line
        for number in (*re.findall(r"batch (\d+)/", line), *re.findall(r"· (\d\d)\.0 ms", line)):
            assert self.of(number) == self.now, line
        seen = re.search(r"val (\d+)/(\d+)( at [a-z\d ,]*\d| @\d+)?", line)
        if seen:
            assert self.named(seen[3] or "", self.now) == self.of(seen[1]), line
            total = int(seen[2])
            majority = {YARDSTICK: YARDSTICK_MAJORITY, VAL: VAL_MAJORITY}[total]
            for name, number in re.findall(r"(chance|majority) (\d+)", line):
                assert int(number) == {"chance": total // len(CLASSES), "majority": majority}[name]

    def check_layers(self) -> None:
        text, measured = self.text, self.truth.measured
        norms = [re.search(r"(\d)\.(\d)e-02 +(\d)\.(\d)e-05", line) for line in text.layers]
        for norm in filter(None, norms):
            assert self.of(norm[1] + norm[2]) == self.of(norm[3] + norm[4]) == measured, text.layers
            assert self.named(text.heading, self.now) == measured, (text.heading, measured)
        if "step" in text.wall:
            assert self.named(text.wall, (-1, -1)) == measured, text.wall
        assert self.named(text.stack_title, self.now if measured else (-1, -1)) == (
            measured or (-1, -1)
        ), text.stack_title
        assert ("measured in" in text.stack_title) == (measured not in (None, self.now))
        hits = re.search(r"(\d\d),000 hits(.*)", text.images)
        if hits:
            assert self.named(hits[2], self.now) == self.of(hits[1]), text.images

    def check_inspector(self) -> None:
        measured, truth = self.truth.measured, self.truth
        for line in self.text.inspector:
            if found := re.match(r"(?:‖g‖|Δw/w) +(\d)\.(\d)e-0[25](.*)", line):
                assert self.named(found[3], self.now) == self.of(found[1] + found[2]), line
            elif found := re.match(r"‖w‖ +(\d\d)\.5(.*)", line):
                assert self.named(found[2], self.now) == self.of(found[1]), line
            elif found := re.match(r"arrived +\w+ of \d+, (\d+(?:\.\d)?) ms(.*)", line):
                code = f"{float(found[1]) * 10:.0f}"
                assert self.named(found[2], self.now) == self.of(code), line
            elif found := re.match(r"applied +\w+(.*)", line):
                assert self.named(found[1], (-1, -1)) == self.now, line
            if found := re.search(r"moved +0\.(\d\d) %(.*)", line):
                assert self.named(found[2], self.now) == self.of(found[1]), line
        text = " ".join(self.text.inspector)
        if re.search(r"(?<!: )(It learnt|Passes the|Its trainable parts learnt)", text):
            assert measured == self.now, text
        if found := re.search(r"Step (\d+): (?:it learnt|passes|its trainable)", text):
            assert (self.now[0], int(found[1])) == measured, text
        if found := re.search(r"step (\d+) was not measured", text):
            assert int(found[1]) == self.now[1] and measured != self.now, text
        if "from the next step on" in text:
            assert truth.wanted != truth.applied, text

    def check_panels(self) -> None:
        text, truth = self.text, self.truth
        took = re.search(rf"{WHEN} took (\d\d)\.0 ms", text.cost)
        assert (took is not None) == (truth.costed and truth.stepped), text.cost
        if took:
            assert self.named(took[0], (-1, -1)) == self.of(took[3]), text.cost
        if "being measured" in text.cost:
            assert truth.connected and not truth.running and truth.fold is None
        seen = re.search(r"(\d+) of \d+( at [a-z\d ,]*\d)? means", text.run)
        if seen:
            assert self.named(seen[2] or "", self.now) == self.of(seen[1]), text.run
        for name, step in re.findall(r"(best|last) at (\d+)", text.run):
            assert self.run.saved[name] == (self.now[0], int(step)), text.run
        for label, number in re.findall(r"(now|step \d+)\s+(\d+)/\d+ \.", text.curves):
            assert self.named(label, self.now) == self.of(number), text.curves

    def check_results(self) -> None:
        if not self.text.results:
            return
        top, line = self.text.results
        shown = self.of(re.search(r"accuracy +(\d+) of", line)[1])  # type: ignore[index]
        start, step = re.search(r"(?:start (\d+) · )?step (\d+)", top).groups("0")  # type: ignore
        assert (int(start), int(step)) == shown, top
        age = re.search(r"(\d+) steps? ago|from another start", line)
        if age is None:
            assert shown == self.now, line
        elif age[1] is None:
            assert shown[0] != self.now[0], line
        else:
            assert (shown[0], shown[1] + int(age[1])) == self.now, line

    # --- sentences --------------------------------------------------------------------------------

    def check_title(self) -> None:
        title, truth = self.text.title, self.truth
        assert ("watching" in title) == (truth.connected and not truth.in_control), title
        assert ("screens" in title) == (
            truth.connected and truth.in_control and truth.clients > 1
        ), title
        assert ("not connected" in title) == (not truth.connected), title
        assert ("left" in title) <= truth.running, title
        assert ("validating" in title) <= bool(truth.busy), title
        fold = re.search(r"fold (\d) of", title)
        assert (int(fold[1]) if fold else None) == truth.fold, title
        for text in (title, self.text.run):
            if epoch := re.search(r"epoch (\d+) of", text):
                assert int(epoch[1]) == truth.epoch, text
            if "epochs done" in text:
                assert not truth.running and truth.step == HORIZON, text
            if "past the" in text:
                assert not truth.running and truth.step > HORIZON, text
        assert ("r pause" in self.text.footer) == truth.running
        assert ("r run" in self.text.footer) == (not truth.running)

    def check_caption(self) -> None:
        text, truth = self.text.caption, self.truth
        if not truth.connected:
            assert "The line is cut." in text
            return
        did = re.search(r"Step (\d+) (taught|computed|changed)", text)
        if did or truth.measured:
            assert did and (self.now[0], int(did[1])) == truth.measured, text
        if re.search(r"Press (t|space)|r runs on", text):
            assert truth.idle and truth.measured is None, text
        assert ("Training runs" in text) <= truth.running, text
        assert ("Another screen steers" in text) <= (not truth.in_control), text
        assert ("A cross-validation runs" in text) <= (truth.fold is not None), text
        assert ("c begins" in text) <= truth.in_control, text
        if who := re.search(r"(You|Another screen|The engine) (?:thawed|froze)", text):
            assert who[1] == truth.mask_by, text
        if re.search(r"next step|You|Next:", text) and truth.measured:
            assert truth.wanted != truth.applied, text
        if "not measured yet" in text and truth.measured:
            assert truth.measured != self.now, text

    def check_empty_curves(self) -> None:
        text, truth = self.text.curves, self.truth
        if "t takes one" in text or "t makes one" in text:
            assert truth.idle, text
        if "is running" in text or "follows each epoch" in text:
            assert truth.running, text
