"""Plans, which change the mask over time, and the steps at which plans and cycles end.

lp-ft trains the head first, then everything. gradual trains the head, then one more stage per
phase, from the top.

References:
    lp-ft: Kumar et al., Fine-Tuning can Distort Pretrained Features, ICLR 2022, arXiv:2202.10054.
    gradual: Howard and Ruder, ULMFiT, ACL 2018, arXiv:1801.06146.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import msgspec

from tl_tui.common.errors import Problem
from tl_tui.protocol.config import PlanName
from tl_tui.protocol.session import Cycle, Plan, PlanPhase


def make_plan(
    name: PlanName,
    from_top: Sequence[tuple[str, Collection[int]]],
    *,
    epochs: int,
    phase_epochs: int | None,
    batches_per_epoch: int,
    after_step: int,
) -> Plan:
    """Return a plan with its phases in steps.

    Args:
        name: The name of the plan.
        from_top: Masks that grow from the head to everything, each with the name of what it adds.
        epochs: Epochs of the whole plan; the last phase has those that the others leave.
        phase_epochs: Epochs of each phase but the last; None is 1 for gradual, half of all epochs
            for lp-ft.
        batches_per_epoch: The number of steps in an epoch.
        after_step: The plan begins with the step after this one.

    Raises:
        Problem: There are too few epochs for the phases.
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
        begin = number * length
        count = epochs - begin if last else length
        phases.append(
            PlanPhase(
                name=phase,
                trainable=tuple(sorted(mask)),
                after_step=after_step + begin * batches_per_epoch,
                steps=count * batches_per_epoch,
                epoch=begin + 1,
            )
        )
    return Plan(name=name, phases=tuple(phases))


def least_epochs(
    name: PlanName, from_top: Sequence[tuple[str, Collection[int]]], phase_epochs: int | None
) -> int:
    """Return the smallest number of epochs in which every phase of a plan has at least one."""
    phases = 2 if name == "lp-ft" else len(from_top)
    return (phase_epochs or 1) * (phases - 1) + 1


def phase_at(plan: Plan, step: int) -> PlanPhase:
    """Return the phase that the next step belongs to.

    Args:
        plan: The plan.
        step: The number of steps taken so far. After the end of the plan, the last phase counts.
    """
    return [phase for phase in plan.phases if phase.after_step <= step][-1]


def move_phases(plan: Plan, moved: Callable[[int], int]) -> Plan:
    """Return a plan whose phases begin and end at other steps.

    Args:
        plan: The plan.
        moved: Returns where the boundary at a step is moved to; steps already taken stay.
    """
    phases = []
    for phase in plan.phases:
        begin, end = moved(phase.after_step), moved(phase.after_step + phase.steps)
        phases.append(msgspec.structs.replace(phase, after_step=begin, steps=end - begin))
    return Plan(name=plan.name, phases=tuple(phases))


def end_of_plan(plan: Plan) -> int:
    """Return the last step of a plan."""
    return plan.phases[-1].after_step + plan.phases[-1].steps


def end_of_cycle(cycle: Cycle) -> int:
    """Return the last step of a cycle of the schedule."""
    return cycle.after_step + cycle.steps


def end_of_cycle_and_plan(cycle: Cycle, plan: Plan | None) -> int:
    """Return the step after which neither the schedule nor the plan changes anything."""
    return max(end_of_cycle(cycle), end_of_plan(plan) if plan else 0)
