"""What the app says when something happened: an audit, an engine that is gone, a refused step."""

from __future__ import annotations

from tl_tui.protocol.checks import Audited
from tui.state.run_state import RunState


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


def proposal_words(proposed: tuple[int, ...] | int | None) -> str:
    """Say what `y` does about a step that ran out of memory; empty if it does nothing."""
    if proposed is None:
        return ""
    if isinstance(proposed, int):
        return f" y opens again with batches of {proposed}."
    return " y takes that mask, u takes it back."
