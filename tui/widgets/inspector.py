"""The layer under the cursor, in words and numbers."""

from __future__ import annotations

from tui.inspection import Inspection, inspect
from tui.stack_view import Target
from tui.state import RunState
from tui.widgets.painted_lines import Line, PaintedLines, fitted, line, wrapped
from tui.widgets.strategy_line import amount

FRAMED_LINES = 10
"""From this height on there is a field a line; below it, a heading and what fits."""


class Inspector(PaintedLines):
    """What is known of the target; several fields a line where there is little room."""

    target: Target | None = None

    @property
    def title(self) -> str:
        """The layer's name, for the panel's frame."""
        seen = self._inspection()
        return seen.name if seen else ""

    def _inspection(self) -> Inspection | None:
        if self.state is None or self.state.session is None or self.target is None:
            return None
        return inspect(self.state, self.target)

    def lines(self, state: RunState) -> list[Line]:
        seen = self._inspection()
        width, height = self.size
        if seen is None:
            return []
        return (
            _fields(seen, state, width, height)
            if height >= FRAMED_LINES
            else _short(seen, width, height)
        )


def _fields(seen: Inspection, state: RunState, width: int, height: int) -> list[Line]:
    lines: list[Line] = [
        *([()] if height >= 20 else []),
        *(line(text) for text in wrapped(seen.kind, width, 2)),
        line(fitted(f"{seen.params:,} parameters", width)),
        line((fitted(seen.role + (f" · output {seen.shape}" if seen.shape else ""), width), "dim")),
        (),
    ]
    step = f"in step {state.step}" if seen.applied else ""
    choice = "by " + seen.choice.partition(" by ")[2]
    rows = [
        ("wanted", seen.wanted, choice),
        ("applied", seen.applied, step),
        ("reach", seen.reach, ""),
        ("next", seen.predicted if not seen.reach or state.pending else "", "predicted"),
        ("BatchNorm", seen.norm_mode, ""),
        ("lr", seen.lr, ""),
        ("‖w‖", seen.weight_norm, ""),
        ("‖g‖", seen.grad_norm, seen.grad_of),
        ("Δw/w", seen.update_ratio, ""),
    ]
    for name, value, remark in rows:
        if value:
            text = f"{value:<9} " if remark else value
            lines.append(
                line(
                    (f"{name:<11}", "dim"),
                    fitted(text, max(1, width - 11)),
                    (fitted(remark, max(0, width - 21)), "dim"),
                )
            )
    if seen.arrival:
        lines.append(line((f"{'arrived':<11}", "dim"), fitted(seen.arrival, width - 11)))
    room = height - len(lines) - 1
    if room > 0:
        lines += [(), *(line(text) for text in wrapped(seen.why, width, room))]
    return lines


def _short(seen: Inspection, width: int, height: int) -> list[Line]:
    head = f"─ {seen.name} ─ "
    choice = fitted(f"{seen.choice} ", max(0, width - len(head) - 3))
    rule = "─" * max(1, width - 2 - len(head) - len(choice))
    inner = width - 2
    norm = f" · BN {seen.norm_mode.partition(',')[0]}" if seen.norm_mode else ""
    kind = seen.kind.replace(" → ", "→")
    size = f" · {amount(seen.params)}"
    brief = kind.partition(",")[0]
    kinds = [kind + size + norm, brief + size + norm, brief + size]
    kind = next((text for text in kinds if len(text) <= inner), kinds[-1])
    told = [f"BatchNorm {seen.norm_mode}"] if norm and not kind.endswith(norm) else []
    numbers = "  ".join(
        f"{name} {value}"
        for name, value in (
            ("‖w‖", seen.weight_norm),
            ("‖g‖", seen.grad_norm),
            ("Δw/w", seen.update_ratio),
        )
        if value
    )
    if seen.grad_of and len(numbers) + len(seen.grad_of) < inner:
        numbers += f" {seen.grad_of}"
    arrival = f"arrived {seen.arrival}" if seen.arrival else ""
    last = [*told, *(text for text in (numbers, arrival) if text)]
    room = max(1, height - 2 - len(last))
    why = wrapped(seen.why, inner, room)
    body = [fitted(kind, inner), *why, *(fitted(text, inner) for text in last)]
    if len(body) < height - 1 and seen.lr:
        body.append(f"learning rate {seen.lr}")
    top: Line = (
        (" ─ ", "dim"),
        (seen.name, "text"),
        (" ─ ", "dim"),
        (choice, "text"),
        (rule, "dim"),
    )
    return [top, *(line(f" {text}") for text in body)]
