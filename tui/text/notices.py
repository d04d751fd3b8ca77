"""Messages about single events: an audit, an engine that died, a step that failed."""

from __future__ import annotations

from tl_tui.protocol.checks import Audited
from tui.state.run_state import RunState


def lost_sentence(state: RunState) -> str:
    """Return what was lost when the engine died; empty if nothing was."""
    if state.session is None or not state.step:
        return ""
    run = state.session.run_dir.rstrip("/").rpartition("/")[2]
    saved, start = state.training.resume_checkpoint, state.curves[-1].start
    if saved is not None:
        if (saved.start, saved.step) == (start, state.step):
            return ""
        lost = "later steps are lost" if saved.start == start else f"start {start} is lost"
        return (
            "The run continues from its last checkpoint, "
            f"start {saved.start}, step {saved.step:,}: {lost}."
        )
    return (
        f"The run begins again from its first weights, with your choices: {run} has no checkpoint "
        f"of this start, so the steps up to {state.step:,} are lost."
    )


CAUSES = 2
"""The number of causes that an audit's sentence names; the others are counted."""


def audit_sentence(audited: Audited) -> str:
    """Return how many frozen tensors changed, with the name of one tensor for each cause."""
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
    sentences = [f"Audit: {count:,} of {audited.tensors:,} frozen tensors changed."]
    causes = sorted(by_cause.items(), key=lambda item: -len(item[1]))
    for cause, tensors in causes[:CAUSES]:
        more = f" and {len(tensors) - 1:,} more" if len(tensors) > 1 else ""
        sentences.append(f"{tensors[0]}{more}: {cause}.")
    if rest := sum(len(tensors) for _, tensors in causes[CAUSES:]):
        sentences.append(f"{rest:,} more by other causes.")
    return " ".join(sentences)


def proposal_text(proposed: tuple[int, ...] | int | None) -> str:
    """Return what `y` does about a step that ran out of memory, to append to a sentence.

    Args:
        proposed: See `RunState.proposed`.
    """
    if proposed is None:
        return ""
    if isinstance(proposed, int):
        return f" y opens again with batches of {proposed}."
    return " y takes that mask, u takes it back."
