"""Frozen means frozen: every frozen tensor compared, bit for bit, with its state when frozen.

And over one more step, whose every trace is put back after. What moved is named with its cause.
"""

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
    """Remembers how each owner was when it was frozen."""

    def __init__(self, trainer: Trainer, tensors: Mapping[str, Tensor], mask: Mask) -> None:
        """
        Args:
            trainer: The trainer.
            tensors: Parameters and buffers as they are now, by name, on the host.
            mask: The trainable owners.
        """
        self.trainer = trainer
        self._when_frozen: dict[str, Tensor] = {}
        self._switched: set[int] = set()
        """Owners whose BatchNorm has run in train mode while frozen, as the user switched it."""
        self._mask: Mask = mask
        self.begin_from(tensors, mask)

    def begin_from(self, tensors: Mapping[str, Tensor], mask: Mask) -> None:
        """Everything was just put to a known state: frozen owners are compared with that."""
        frozen = freezing.frozen_tensors(self.trainer.stack, mask)
        self._when_frozen = {name: tensors[name] for name in frozen}
        self._switched.clear()
        self._mask = mask

    def about_to_step(self, mask: Mask, norm_modes: Mapping[int, NormMode]) -> None:
        """A step with this mask begins: what freezes with it is kept, what thaws forgotten."""
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

    def returned(self, owners: set[int]) -> None:
        """These owners were put to other weights on purpose: compared with those from here on."""
        frozen = freezing.frozen_tensors(self.trainer.stack, self._mask)
        names = [self.trainer.stack.owners[owner].name for owner in owners]
        for name in frozen:
            if name.rpartition(".")[0] in names:
                self._when_frozen[name] = frozen[name].detach().to("cpu", copy=True)
        self._switched -= owners

    def run(self, mask: Mask, norm_modes: Mapping[int, NormMode]) -> tuple[int, list[AuditFinding]]:
        """Compare, take a step, compare again, and put everything back.

        Returns:
            How many frozen tensors were compared, and those that changed, each with its cause.

        Raises:
            StepRefused: the step cannot be taken.
        """
        trainer = self.trainer
        kept = trainer.snapshot()
        frozen = freezing.frozen_tensors(trainer.stack, mask)
        # What the next step would freeze anew has no history yet: only the step can move it.
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
                "running statistics followed the new data"
            )
        return "since it was frozen something other than the optimizer wrote to it, between steps"
