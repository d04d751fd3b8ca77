"""The details of the layer under the cursor."""

from __future__ import annotations

from tui.drawing.lines import Line, fitted, line, wrapped
from tui.state.cursor import Target
from tui.state.run_state import RunState
from tui.text.format import format_params
from tui.text.layer_details import LayerDetails, layer_details
from tui.text.step_cost import toggle_cost_text
from tui.widgets.state_lines import StateLines

FRAMED_LINES = 10
"""The height from which each field has its own line; below it, a few fields share lines."""


class Inspector(StateLines):
    """The details of the target, in a table or, where there is little room, in a few lines."""

    target: Target | None = None

    @property
    def title(self) -> str:
        """The layer's name, for the panel's frame."""
        details = self._details()
        return details.name if details else ""

    def _details(self) -> LayerDetails | None:
        if self.state is None or self.state.session is None or self.target is None:
            return None
        return layer_details(self.state, self.target)

    def lines(self, state: RunState) -> list[Line]:
        details = self._details()
        width, height = self.size
        if details is None:
            return []
        assert self.target is not None
        if height >= FRAMED_LINES:
            return _table(details, state, width, height)
        return _short(details, toggle_cost_text(state, self.target), width, height)


def _table(seen: LayerDetails, state: RunState, width: int, height: int) -> list[Line]:
    top: list[Line] = [
        *([()] if height >= 20 else []),
        *(line(text) for text in wrapped(seen.full_kind, width, 2)),
        line(fitted(f"{seen.params:,} parameters · {seen.role}", width)),
    ]
    if height >= 16 and seen.shape:
        top.append(line((fitted(f"output {seen.shape}", width), "dim")))
    top.append(())
    when = seen.measured_in
    over = ", ".join(part for part in (when, seen.grad_of) if part)
    norm_mode = f"{seen.norm_mode}, by hand" if seen.norm_by_hand else seen.norm_mode
    # Name, value, remark and priority: where there is little room, the lowest are omitted first.
    # They are the ones that the table next to it shows too.
    rows = [
        ("wanted", seen.wanted, f"by {seen.chosen_by}", 9),
        ("applied", seen.applied, seen.applied_in, 4),
        ("reach", seen.reach, when, 5),
        ("next", seen.predicted if not seen.reach or state.pending else "", "predicted", 5),
        ("BatchNorm", norm_mode, "", 7),
        ("lr", seen.lr, seen.lr_remark, 9),
        ("moved", seen.moved, seen.moved_at or seen.moved_from, 8),
        ("‖w‖", seen.weight_norm, when, 3),
        ("‖g‖", seen.grad_norm, over, 2),
        ("Δw/w", seen.update_ratio, when, 2),
        ("arrived", seen.arrival, when, 1),
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


def _short(seen: LayerDetails, cost: str, width: int, height: int) -> list[Line]:
    """Return a heading and the most important fields in as many lines as there are.

    Args:
        seen: The details of the target.
        cost: The cost of a toggle.
        width: Cells.
        height: Lines.
    """
    head = f"─ {seen.name} ─ "
    choice = fitted(f"{seen.choice} by {seen.chosen_by} ", max(0, width - len(head) - 3))
    rule = "─" * max(1, width - 2 - len(head) - len(choice))
    inner = width - 2
    norm = f" · BN {seen.norm_mode}" if seen.norm_modes else ""
    tight_norm = f" · BN {'→'.join(seen.norm_modes)}" if seen.norm_modes else ""
    size = f" · {format_params(seen.params)}"
    details = [detail.replace(" → ", "→") for detail in seen.detail]
    kinds = [
        f"{seen.kind} {', '.join(details)}".strip(),
        f"{seen.kind} {''.join(details[:1])}".strip(),
        seen.kind,
    ]
    forms = [
        *((kind + size + norm, True) for kind in kinds),
        (kinds[-1] + size + tight_norm, True),
        (kinds[1] + size, False),
    ]
    kind, has_norm = next((form for form in forms if len(form[0]) <= inner), forms[-1])
    last = [text for text in (_rate_and_move(seen, inner), cost) if text]
    by_hand = ", by hand" if seen.norm_by_hand else ""
    norm_line = [f"BatchNorm {seen.norm_mode}{by_hand}"] if norm and not has_norm else []
    room = max(1, height - 2 - len(last) - len(norm_line))
    if height - 2 - len(last) - len(norm_line) < 1:
        norm_line = []
    why = seen.drift or seen.why
    if len(why) > room * inner and not seen.drift and seen.last_step:
        why = seen.next_step or why  # the next step is more interesting than the last one
    last = [*norm_line, *last]
    body = [
        fitted(kind, inner),
        *wrapped(why, inner, room),
        *(fitted(text, inner) for text in last),
    ]
    top: Line = (
        (" ─ ", "dim"),
        (seen.name, "text"),
        (" ─ ", "dim"),
        (choice, "text"),
        (rule, "dim"),
    )
    return [top, *(line(f" {text}") for text in body)]


def _rate_and_move(seen: LayerDetails, width: int) -> str:
    """Return the learning rate, and how far the weights have moved, in one line."""
    rate = f"lr {seen.lr}" if seen.lr else ""
    full_rate = f"{rate} {seen.lr_remark}" if rate and seen.lr_remark else rate
    short_rate = f"{rate} by hand" if rate and seen.lr_by_hand else rate
    move = " ".join(part for part in (f"moved {seen.moved}", seen.moved_at) if part)
    move = move if seen.moved else ""
    full_move = f"{move} {seen.moved_from}" if move else ""
    forms = [
        (full_rate, full_move),
        (full_rate, move),
        (short_rate, full_move),
        (short_rate, move),
        (short_rate, ""),
        (rate, ""),
    ]
    texts = [" · ".join(part for part in form if part) for form in forms]
    return next((text for text in texts if len(text) <= width), texts[-1])
