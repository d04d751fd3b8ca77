"""The audit: checks that frozen tensors do not change, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from engine.model import freezing
from engine.model.freezing import Mask
from engine.training.trainer import Trainer
from tl_tui.protocol.checks import AuditFinding
from tl_tui.protocol.layers import NormMode

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class Audit:
    """Compares frozen tensors with their values when they were frozen, and over one more step."""

    def __init__(self, trainer: Trainer, tensors: Mapping[str, Tensor], mask: Mask) -> None:
        """
        Args:
            trainer: The trainer.
            tensors: The current parameters and buffers by name, on the host.
            mask: The trainable owners.
        """
        self.trainer = trainer
        self._when_frozen: dict[str, Tensor] = {}
        """The values that frozen tensors had when they were frozen, by name."""
        self._switched: set[int] = set()
        """Frozen owners whose BatchNorm ran in train mode because the user switched it."""
        self._mask: Mask = mask
        self.reset(tensors, mask)

    def reset(self, tensors: Mapping[str, Tensor], mask: Mask) -> None:
        """Compare with these tensors from now on.

        Args:
            tensors: The current parameters and buffers by name, on the host.
            mask: The trainable owners.
        """
        frozen = freezing.frozen_tensors(self.trainer.stack, mask)
        self._when_frozen = {name: tensors[name] for name in frozen}
        self._switched.clear()
        self._mask = mask

    def before_step(self, mask: Mask, norm_modes: Mapping[int, NormMode]) -> None:
        """Keep the values of tensors that the coming step freezes; drop those that it thaws.

        Args:
            mask: The trainable owners of the step.
            norm_modes: The BatchNorm modes that the user set, by owner.
        """
        if mask != self._mask:
            frozen = freezing.frozen_tensors(self.trainer.stack, mask)
            for name in [name for name in self._when_frozen if name not in frozen]:
                del self._when_frozen[name]
            for name, tensor in frozen.items():
                if name not in self._when_frozen:
                    self._when_frozen[name] = tensor.detach().to("cpu", copy=True)
            self._switched &= set(range(len(self.trainer.stack.owners))) - mask
            self._mask = mask
        self._switched |= {
            owner for owner, mode in norm_modes.items() if mode == "train" and owner not in mask
        }

    def accept_changes(self, owners: set[int]) -> None:
        """Compare these owners with their current weights, which were changed on purpose."""
        frozen = freezing.frozen_tensors(self.trainer.stack, self._mask)
        names = [self.trainer.stack.owners[owner].name for owner in owners]
        for name in frozen:
            if name.rpartition(".")[0] in names:
                self._when_frozen[name] = frozen[name].detach().to("cpu", copy=True)
        self._switched -= owners

    def run(self, mask: Mask, norm_modes: Mapping[int, NormMode]) -> tuple[int, list[AuditFinding]]:
        """Compare all frozen tensors, take a step, compare again, and restore everything.

        Returns:
            The number of frozen tensors, and a finding with its cause for each that changed.

        Raises:
            StepRefused: the step cannot be taken.
        """
        trainer = self.trainer
        kept = trainer.snapshot()
        frozen = freezing.frozen_tensors(trainer.stack, mask)
        # Tensors that are frozen from the next step on have no earlier value to compare with.
        known = {name: t for name, t in self._when_frozen.items() if name in frozen}
        now = {name: kept.tensors[name] for name in known}
        findings = {
            name: AuditFinding(name, self._earlier_cause(name))
            for name in freezing.changed_tensors(known, now)
        }
        before = {name: tensor.clone() for name, tensor in frozen.items()}
        try:
            trainer.step(mask, norm_modes, measured=False)
            moved = freezing.changed_tensors(before, freezing.frozen_tensors(trainer.stack, mask))
            for name in moved:
                findings[name] = AuditFinding(name, freezing.cause_of_change(trainer.stack, name))
        finally:
            trainer.restore(kept)
        return len(before), [findings[name] for name in frozen if name in findings]

    def _earlier_cause(self, tensor: str) -> str:
        path, _, leaf = tensor.rpartition(".")
        owner = next(i for i, o in enumerate(self.trainer.stack.owners) if o.name == path)
        if leaf in STATISTICS and owner in self._switched:
            return (
                "since it was frozen its BatchNorm ran in train mode, as you switched it, so its "
                "running statistics were updated with the new data"
            )
        return "since it was frozen, something other than the optimizer wrote to it between steps"
