"""The layer under the cursor, in words and numbers."""

from __future__ import annotations

from tui.drawing.lines import Line, fitted, line, wrapped
from tui.state.cursor import Target
from tui.state.run_state import RunState
from tui.text.format import format_params
from tui.text.layer_details import LayerDetails, layer_details
from tui.text.step_cost import toggle_cost
from tui.widgets.state_lines import StateLines

FRAMED_LINES = 10
"""From this height on there is a field a line; below it, a heading and what fits."""


class Inspector(StateLines):
    """What is known of the target; several fields a line where there is little room."""

    target: Target | None = None

    @property
    def title(self) -> str:
        """The layer's name, for the panel's frame."""
        seen = self._inspection()
        return seen.name if seen else ""

    def _inspection(self) -> LayerDetails | None:
        if self.state is None or self.state.session is None or self.target is None:
            return None
        return layer_details(self.state, self.target)

    def lines(self, state: RunState) -> list[Line]:
        seen = self._inspection()
        width, height = self.size
        if seen is None:
            return []
        assert self.target is not None
        price = toggle_cost(state, self.target)
        if height >= FRAMED_LINES:
            return _fields(seen, state, width, height)
        return _short(seen, price, width, height)


def _fields(seen: LayerDetails, state: RunState, width: int, height: int) -> list[Line]:
    top: list[Line] = [
        *([()] if height >= 20 else []),
        *(line(text) for text in wrapped(seen.kind, width, 2)),
        line(fitted(f"{seen.params:,} parameters · {seen.role}", width)),
    ]
    if height >= 16 and seen.shape:
        top.append(line((fitted(f"output {seen.shape}", width), "dim")))
    top.append(())
    step = f"in step {state.step}" if seen.applied else ""
    choice = "by " + seen.choice.partition(" by ")[2]
    # Name, value, remark, and how long it is kept as room grows less: what the table says too
    # goes first.
    rows = [
        ("wanted", seen.wanted, choice, 9),
        ("applied", seen.applied, step, 4),
        ("reach", seen.reach, "", 5),
        ("next", seen.predicted if not seen.reach or state.pending else "", "predicted", 5),
        ("BatchNorm", seen.norm_mode, "", 7),
        ("lr", seen.lr, seen.lr_remark, 9),
        ("moved", seen.moved, seen.moved_from, 8),
        ("‖w‖", seen.weight_norm, "", 3),
        ("‖g‖", seen.grad_norm, seen.grad_of, 2),
        ("Δw/w", seen.update_ratio, "", 2),
        ("arrived", seen.arrival, "", 1),
    ]
    rows = [row for row in rows if row[1]]
    why = wrapped(" ".join(text for text in (seen.why, seen.drift) if text), width, 5)
    room = height - len(top) - 1 - min(3, len(why))
    for least in range(1, 9):
        if len(rows) > room:
            rows = [row for row in rows if row[3] > least]
    for name, value, remark, _ in rows:
        padded = len(remark) + 10 <= width - 11
        text = (f"{value:<9} " if padded else f"{value} ") if remark else value
        top.append(
            line(
                (f"{name:<11}", "dim"),
                fitted(text, max(1, width - 11)),
                (fitted(remark, max(0, width - 11 - len(text))), "dim"),
            )
        )
    room = height - len(top) - 1
    return [*top, (), *(line(text) for text in why[:room])] if room > 0 else top


def _short(seen: LayerDetails, price: str, width: int, height: int) -> list[Line]:
    head = f"─ {seen.name} ─ "
    choice = fitted(f"{seen.choice} ", max(0, width - len(head) - 3))
    rule = "─" * max(1, width - 2 - len(head) - len(choice))
    inner = width - 2
    norm = f" · BN {seen.norm_mode.partition(',')[0]}" if seen.norm_mode else ""
    kind = seen.kind.replace(" → ", "→")
    size = f" · {format_params(seen.params)}"
    tight = norm.replace(" → ", "→")
    forms = [kind, kind.partition(",")[0], kind.partition(" ")[0]]
    kinds = [*(form + size + norm for form in forms), forms[-1] + size + tight, forms[1] + size]
    kind = next((text for text in kinds if len(text) <= inner), kinds[-1])
    last = [text for text in (_rate_and_way(seen, inner), price) if text]
    told = [f"BatchNorm {seen.norm_mode}"] if norm and "BN" not in kind else []
    room = max(1, height - 2 - len(last) - len(told))
    if height - 2 - len(last) - len(told) < 1:
        told = []
    why = seen.drift or seen.why
    if len(why) > room * inner:
        why = why.partition(". ")[2] or why  # what comes next says more than what was
    why_lines = wrapped(why, inner, room)
    last = [*told, *last]
    body = [fitted(kind, inner), *why_lines, *(fitted(text, inner) for text in last)]
    top: Line = (
        (" ─ ", "dim"),
        (seen.name, "text"),
        (" ─ ", "dim"),
        (choice, "text"),
        (rule, "dim"),
    )
    return [top, *(line(f" {text}") for text in body)]


def _rate_and_way(seen: LayerDetails, width: int) -> str:
    """The learning rate and how far it has brought the layer, in one line."""
    rate = f"lr {seen.lr}" if seen.lr else ""
    hand = f"{rate} {seen.lr_remark}" if rate and seen.lr_remark else rate
    way = f"moved {seen.moved}" if seen.moved else ""
    far = f"{way} {seen.moved_from}" if way else ""
    brief = f"{rate} by hand" if "by hand" in hand else rate
    forms = [(hand, far), (hand, way), (brief, far), (brief, way), (brief, ""), (rate, "")]
    said = [" · ".join(part for part in form if part) for form in forms]
    return next((text for text in said if len(text) <= width), said[-1])
