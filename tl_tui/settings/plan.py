"""Plans: strategies over time, laid out in steps. Imports no torch.

lp-ft: the head first, then everything (Kumar et al., Fine-Tuning can Distort Pretrained Features,
ICLR 2022, arXiv:2202.10054). gradual: the head, then one stage more from the top every so many
epochs (Howard and Ruder, ULMFiT, ACL 2018, arXiv:1801.06146).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tl_tui.common.errors import Problem
from tl_tui.protocol.config import PlanName
from tl_tui.protocol.session import Plan, PlanPhase


def make_plan(
    name: PlanName,
    from_top: Sequence[tuple[str, Collection[int]]],
    *,
    epochs: int,
    phase_epochs: int | None,
    batches_per_epoch: int,
    after_step: int,
) -> Plan:
    """A plan as it will happen.

    Args:
        name: Of the plan.
        from_top: Masks that grow from the head to everything, each with what it adds.
        epochs: Of the whole plan; its last phase has what the others leave, at least one.
        phase_epochs: Of every phase but the last; None is 1 for gradual, half the epochs for lp-ft.
        batches_per_epoch: Steps an epoch has.
        after_step: It begins with the step after this one.

    Raises:
        Problem: there are too few epochs for its phases.
    """
    masks = [from_top[0], ("full", from_top[-1][1])] if name == "lp-ft" else list(from_top)
    length = phase_epochs or (max(1, epochs // 2) if name == "lp-ft" else 1)
    least = least_epochs(name, from_top, phase_epochs)
    if epochs < least:
        each = f"{length} epoch{'' if length == 1 else 's'}"
        raise Problem(
            f"--plan {name}: {len(masks)} phases of {each} need at least {least} epochs, "
            f"and there are {epochs}; raise --epochs or lower --plan-epochs."
        )
    phases = []
    for number, (phase, mask) in enumerate(masks):
        last = number == len(masks) - 1
        begun = number * length
        count = epochs - begun if last else length
        phases.append(
            PlanPhase(
                name=phase,
                trainable=tuple(sorted(mask)),
                after_step=after_step + begun * batches_per_epoch,
                steps=count * batches_per_epoch,
                epoch=begun + 1,
            )
        )
    return Plan(name=name, phases=tuple(phases))


def least_epochs(
    name: PlanName, from_top: Sequence[tuple[str, Collection[int]]], phase_epochs: int | None
) -> int:
    """The fewest epochs in which every phase of a plan has its turn."""
    phases = 2 if name == "lp-ft" else len(from_top)
    return (phase_epochs or 1) * (phases - 1) + 1


def phase_at(plan: Plan, step: int) -> PlanPhase:
    """The phase in which the step after `step` is; the last one behind the plan's end."""
    return [phase for phase in plan.phases if phase.after_step <= step][-1]


def end_of(plan: Plan) -> int:
    """The plan's last step."""
    return plan.phases[-1].after_step + plan.phases[-1].steps
