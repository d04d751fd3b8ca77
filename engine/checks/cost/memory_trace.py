"""Which memory a step uses, owner by owner, found without allocating any of it.

The model is copied and run, forward and backward, under torch's `FakeTensorMode`: tensors have
shapes and no contents, so that a step which would not fit can be looked at too. Two things are
followed. `saved_tensors_hooks` tell what autograd keeps for backward, counted once per storage, the
weights and buffers left out. A dispatch mode counts the bytes of every storage that is alive.
"""

from __future__ import annotations

import copy
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engine.model import freezing
from engine.model.layer_stack import Stack
from engine.training.optimizer import RowOptimizer
from tl_tui.protocol.checks import SavedTensors
from tl_tui.protocol.config import Precision, Recipe


def copy_model(stack: Stack, fake: FakeTensorMode | None = None) -> Stack:
    """The stack over a copy of its model, for a step that may change anything.

    Args:
        stack: The original; it is only read.
        fake: Make the copy's tensors of this mode: shapes without contents.
    """
    twin = copy.copy(stack)
    memo: dict[int, Any] = {}
    if fake is not None:
        for tensor in (*stack.model.parameters(), *stack.model.buffers()):
            memo[id(tensor)] = fake.from_tensor(tensor)
    # In one call, so that rows, owners and parts hold the copied model's modules.
    originals = (stack.model, stack.rows, stack.owners, stack.parts)
    twin.model, twin.rows, twin.owners, twin.parts = copy.deepcopy(originals, memo)
    twin.graph_module, twin.cuts, twin._above = None, [], {}
    return twin


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager:
    """Around forward and loss."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


class AllocatedBytes(TorchDispatchMode):
    """Counts the bytes of the storages that were made inside and are still in use."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self._sizes: dict[weakref.ref, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        given = {id(leaf.untyped_storage()) for leaf in tree_leaves(args) if _plain(leaf)}
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if _plain(leaf) and id(storage := leaf.untyped_storage()) not in given:
                self._add(storage)
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        reference = weakref.ref(storage, self._gone)
        if reference in self._sizes:
            return
        self._sizes[reference] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)

    def _gone(self, reference: weakref.ref) -> None:
        self.now -= self._sizes.pop(reference)

    def take_peak(self) -> int:
        """The most that was in use since the last call."""
        peak, self.peak = self.peak, self.now
        return peak


def _plain(leaf: object) -> bool:
    return isinstance(leaf, Tensor) and leaf.layout == torch.strided


@dataclass(frozen=True)
class StepMemory:
    """The bytes in `PriceMeasured`, under the same names."""

    saved: tuple[SavedTensors, ...]
    gradient_bytes: tuple[int, ...]
    state_bytes: tuple[int, ...]
    forward_bytes: tuple[int, ...]
    forward_extra_bytes: tuple[int, ...]
    backward_bytes: tuple[int, ...]
    fixed_bytes: int


def trace_memory(
    stack: Stack, shape: tuple[int, ...], recipe: Recipe
) -> Iterator[StepMemory | None]:
    """What a step uses; yields None after each pass and at last the result.

    Three passes without contents: everything trainable, nothing but a gradient for the images (what
    passing it on needs, without learning), and nothing at all.

    Args:
        stack: Read only.
        shape: Of the batch, [N, 3, height, width].
        recipe: Its optimizer and precision.
    """
    fake = FakeTensorMode()
    twin = copy_model(stack, fake)
    device = stack.owners[0].parameters[0].device
    everything = frozenset(range(len(stack.owners)))
    gradients = [sum(p.nbytes for p in owner.parameters) for owner in stack.owners]
    passes: list[_Pass] = []
    with fake:
        labels = torch.zeros(shape[0], dtype=torch.int64, device=device)
    for mask, to_images in ((everything, False), (frozenset(), True), (frozenset(), False)):
        with fake:
            images = torch.empty(shape, device=device, requires_grad=to_images)
            freezing.set_requires_grad(twin, mask)
            freezing.set_modes(twin, mask, {})
            passes.append(_Pass(twin).run(images, labels, recipe.precision))
        yield None
    full, passing, nothing = passes
    with fake:
        optimizer = RowOptimizer(twin, recipe)
        optimizer.make_ready(twin.model.parameters(), ())
        state = [
            sum(
                value.nbytes
                for p in owner.parameters
                for value in optimizer.torch.state[p].values()
            )
            for owner in twin.owners
        ]
    saved = _saved_tensors(stack, full, passing)
    kept = [0] * len(stack.owners)
    for tensors in saved:
        kept[tensors.owner] += tensors.bytes
    held = list(accumulate(kept))
    behind = list(accumulate(reversed(gradients)))[::-1]
    yield StepMemory(
        saved=saved,
        gradient_bytes=tuple(gradients),
        state_bytes=tuple(state),
        forward_bytes=tuple(nothing.forward_peaks),
        forward_extra_bytes=tuple(
            max(0, p - h) for p, h in zip(full.forward_peaks, held, strict=True)
        ),
        backward_bytes=tuple(
            max(0, p - h - g) for p, h, g in zip(full.backward_peaks, held, behind, strict=True)
        ),
        fixed_bytes=images.nbytes + labels.nbytes,
    )


# --- following one pass ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Saving:
    """One tensor that autograd kept, and where."""

    storage: int
    bytes: int
    kind: tuple[torch.dtype, tuple[int, ...]]
    inside: int | None
    """Within this owner (the innermost); None outside of all."""
    before: int | None
    """The owner that was executed last; None right within one that has executed none itself."""
    behind: int | None = None
    """The one that is executed next; None at the end."""


class _Pass:
    """One forward and backward pass of a twin, followed. Peaks are bytes made since it began."""

    def __init__(self, twin: Stack) -> None:
        self.twin = twin
        self.savings: list[_Saving] = []
        count = len(twin.owners)
        self.forward_peaks = [0] * count
        """By owner, up to its output, with what is executed since the one before."""
        self.backward_peaks = [0] * count
        """By owner, from the arrival of the gradient at its output."""
        self._live = AllocatedBytes()
        tensors = (*twin.model.parameters(), *twin.model.buffers())
        self._resident = {tensor.untyped_storage()._cdata for tensor in tensors}
        self._inside: list[tuple[int, int]] = []
        """The owners that are being executed, outermost first, and how many had ended before."""
        self._ended = 0
        self._last = 0
        """The owner that was executed, or at which the gradient arrived, last."""

    def run(self, images: Tensor, labels: Tensor, precision: Precision) -> _Pass:
        self._resident |= {t.untyped_storage()._cdata for t in (images, labels)}
        handles = []
        for number, owner in enumerate(self.twin.owners):
            handles += [
                owner.module.register_forward_pre_hook(self._entering(number)),
                owner.module.register_forward_hook(self._leaving(number)),
            ]
        with self._live:
            with torch.autograd.graph.saved_tensors_hooks(self._save, lambda tensor: tensor):
                with autocast(precision, images.device):
                    logits = self.twin.model(images)
                loss = F.cross_entropy(logits.float(), labels)
            self._note(self.forward_peaks, self._last)
            del logits
            if loss.requires_grad:
                loss.backward()
                self._note(self.backward_peaks, self._last)
        for handle in handles:
            handle.remove()
        self.twin.model.zero_grad(set_to_none=True)
        return self

    def _entering(self, number: int) -> Any:
        def enter(module: nn.Module, args: object) -> None:
            for place in range(len(self.savings) - 1, -1, -1):
                saving = self.savings[place]
                if saving.behind is not None or saving.before != self._last:
                    break
                self.savings[place] = replace(saving, behind=number)
            self._inside.append((number, self._ended))

        return enter

    def _leaving(self, number: int) -> Any:
        def leave(module: nn.Module, args: object, output: Any) -> None:
            _, ended = self._inside.pop()
            # The end of an owner that holds others is that of the last of them.
            place = self._last if self._ended > ended else number
            self._ended += 1
            self._last = place
            self._note(self.forward_peaks, place)
            tensor = output[0] if isinstance(output, (tuple, list)) and output else output
            if isinstance(tensor, Tensor) and tensor.requires_grad:
                tensor.register_hook(lambda _: arrive(place))

        def arrive(place: int) -> None:
            self._note(self.backward_peaks, self._last)
            self._last = place

        return leave

    def _note(self, peaks: list[int], owner: int) -> None:
        peaks[owner] = max(peaks[owner], self._live.take_peak())

    def _save(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._resident:
            inside, ended = self._inside[-1] if self._inside else (None, -1)
            before = self._last if self._ended > ended else None
            kind = (tensor.dtype, tuple(tensor.shape))
            self.savings.append(_Saving(storage._cdata, storage.nbytes(), kind, inside, before))
        return tensor


# --- for which masks it is kept -------------------------------------------------------------------


@dataclass
class _Kept:
    at: int
    bytes: int
    reached: set[int] = field(default_factory=set)
    learning: set[int] = field(default_factory=set)


def _saved_tensors(stack: Stack, full: _Pass, passing: _Pass) -> tuple[SavedTensors, ...]:
    """What the full pass saved, each storage once, with the masks for which it is saved.

    What an owner saves in the passing pass too is kept whenever the gradient comes to it, the rest
    only if it learns. Between two owners the gradient comes from those that feed the second, if
    the first is among their line, else from the first.
    """
    ancestors: list[int] = []  # as bits
    for owner in stack.owners:
        bits = 0
        for parent in owner.parents:
            bits |= ancestors[parent] | 1 << parent
        ancestors.append(bits)
    also = Counter((saving.inside, saving.kind) for saving in passing.savings)
    storages: dict[int, _Kept] = {}
    for saving in full.savings:
        inside, before, behind = saving.inside, saving.before, saving.behind
        at = next(owner for owner in (behind, before, inside) if owner is not None)
        kept = storages.setdefault(saving.storage, _Kept(at, saving.bytes))
        also[inside, saving.kind] -= 1
        if inside is not None and also[inside, saving.kind] < 0:
            kept.learning.add(inside)
        elif before is None:
            kept.reached.add(at)  # inside is not None here, or nothing needs a gradient yet
        elif behind is not None and ancestors[behind] >> before & 1:
            kept.reached.update(stack.owners[behind].parents)
        else:
            kept.reached.add(before)
    merged: Counter[tuple[int, tuple[int, ...], tuple[int, ...]]] = Counter()
    for kept in storages.values():
        # If the gradient comes to an owner, it comes to all that descend from it.
        implied = 0
        for place in kept.reached:
            implied |= ancestors[place]
        reached = {place for place in kept.reached if not implied >> place & 1}
        learning = {place for place in kept.learning - reached if not implied >> place & 1}
        merged[kept.at, tuple(sorted(reached)), tuple(sorted(learning))] += kept.bytes
    return tuple(
        SavedTensors(at, size, reached, learning)
        for (at, reached, learning), size in sorted(merged.items())
    )
