"""The memory that a step uses at each owner, traced without allocating it.

A copy of the model is run forward and backward under `FakeTensorMode`, where tensors have shapes
but no contents, so that steps which do not fit into memory can be traced too. `saved_tensors_hooks`
record what autograd saves for backward: each storage once, weights and buffers excluded. A dispatch
mode counts the bytes of all storages in use.
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
    """Copy a stack together with its model.

    Args:
        stack: The stack to copy; it is only read.
        fake: Create the copy's tensors in this mode, without contents; None copies the contents.
    """
    twin = copy.copy(stack)
    memo: dict[int, Any] = {}
    if fake is not None:
        for tensor in (*stack.model.parameters(), *stack.model.buffers()):
            memo[id(tensor)] = fake.from_tensor(tensor)
    # One call copies all four, so that rows, owners and parts refer to the copied modules.
    originals = (stack.model, stack.rows, stack.owners, stack.parts)
    twin.model, twin.rows, twin.owners, twin.parts = copy.deepcopy(originals, memo)
    twin.graph_module, twin.cuts, twin._above = None, [], {}
    return twin


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager:
    """Return the context manager in which forward and loss run with this precision."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


class AllocatedBytes(TorchDispatchMode):
    """Counts the bytes of storages that were created in this mode and are still in use."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        """Bytes in use."""
        self.peak = 0
        """The most bytes in use since the last `take_peak`."""
        self._sizes: dict[weakref.ref, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        inputs = {id(leaf.untyped_storage()) for leaf in tree_leaves(args) if _has_storage(leaf)}
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if _has_storage(leaf) and id(storage := leaf.untyped_storage()) not in inputs:
                self._add(storage)
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        reference = weakref.ref(storage, self._remove)
        if reference in self._sizes:
            return
        self._sizes[reference] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)

    def _remove(self, reference: weakref.ref) -> None:
        self.now -= self._sizes.pop(reference)

    def take_peak(self) -> int:
        """Return the most bytes in use since the last call."""
        peak, self.peak = self.peak, self.now
        return peak


def _has_storage(leaf: object) -> bool:
    return isinstance(leaf, Tensor) and leaf.layout == torch.strided


@dataclass(frozen=True)
class StepMemory:
    """The fields of `StepCostMeasured` that describe memory."""

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
    """Trace the memory of a step, one pass per unit of work.

    There are three passes: with everything trainable; with a gradient only for the images, which
    shows what propagating the gradient needs; and without any gradient.

    Args:
        stack: The stack of the model; it is only read.
        shape: The shape of a batch, [N, 3, height, width].
        recipe: The recipe; its optimizer and precision are used.

    Yields:
        None after each pass, and at last the result.
    """
    fake = FakeTensorMode()
    twin = copy_model(stack, fake)
    device = stack.owners[0].parameters[0].device
    everything = frozenset(range(len(stack.owners)))
    gradients = [sum(p.nbytes for p in owner.parameters) for owner in stack.owners]
    passes: list[_TracedPass] = []
    with fake:
        labels = torch.zeros(shape[0], dtype=torch.int64, device=device)
    for mask, to_images in ((everything, False), (frozenset(), True), (frozenset(), False)):
        with fake:
            images = torch.empty(shape, device=device, requires_grad=to_images)
            freezing.set_requires_grad(twin, mask)
            freezing.set_modes(twin, mask, {})
            passes.append(_TracedPass(twin).run(images, labels, recipe.precision))
        yield None
    full, propagating, forward_only = passes
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
    saved = _merge_saved_tensors(stack, full, propagating)
    saved_at = [0] * len(stack.owners)
    for tensors in saved:
        saved_at[tensors.owner] += tensors.bytes
    # In forward the saved tensors of all owners so far are in use; in backward also the gradients
    # of all owners behind.
    saved_so_far = list(accumulate(saved_at))
    gradients_behind = list(accumulate(reversed(gradients)))[::-1]
    yield StepMemory(
        saved=saved,
        gradient_bytes=tuple(gradients),
        state_bytes=tuple(state),
        forward_bytes=tuple(forward_only.forward_peaks),
        forward_extra_bytes=tuple(
            max(0, peak - kept) for peak, kept in zip(full.forward_peaks, saved_so_far, strict=True)
        ),
        backward_bytes=tuple(
            max(0, peak - kept - gradient)
            for peak, kept, gradient in zip(
                full.backward_peaks, saved_so_far, gradients_behind, strict=True
            )
        ),
        fixed_bytes=images.nbytes + labels.nbytes,
    )


# --- one pass -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _SavedTensor:
    """A tensor that autograd saved for backward, and when in the forward pass."""

    storage: int
    bytes: int
    kind: tuple[torch.dtype, tuple[int, ...]]
    """Data type and shape."""
    inside: int | None
    """The innermost owner that was being executed; None outside of all owners."""
    previous: int | None
    """The owner executed last; None if none was executed yet within `inside`."""
    following: int | None = None
    """The owner executed next; None at the end."""


class _TracedPass:
    """One forward and backward pass. Peaks are in bytes and exclude what was in use before it."""

    def __init__(self, twin: Stack) -> None:
        """
        Args:
            twin: A copy of the stack, without contents.
        """
        self.twin = twin
        self.saved: list[_SavedTensor] = []
        count = len(twin.owners)
        self.forward_peaks = [0] * count
        """By owner: the peak from the previous owner's output to its own."""
        self.backward_peaks = [0] * count
        """By owner: the peak from the gradient's arrival at its output to the next arrival."""
        self._allocated = AllocatedBytes()
        tensors = (*twin.model.parameters(), *twin.model.buffers())
        self._resident = {tensor.untyped_storage()._cdata for tensor in tensors}
        self._inside: list[tuple[int, int]] = []
        """The owners being executed, outermost first, each with `_ended` at its beginning."""
        self._ended = 0
        """The number of executed owners."""
        self._last = 0
        """The owner executed last; in backward, the owner that the gradient reached last."""

    def run(self, images: Tensor, labels: Tensor, precision: Precision) -> _TracedPass:
        """Run the pass and return it. Backward is omitted if nothing needs a gradient.

        Args:
            images: [N, 3, height, width].
            labels: [N], int64.
            precision: The precision of forward and loss.
        """
        self._resident |= {t.untyped_storage()._cdata for t in (images, labels)}
        handles = []
        for number, owner in enumerate(self.twin.owners):
            handles += [
                owner.module.register_forward_pre_hook(self._forward_pre_hook(number)),
                owner.module.register_forward_hook(self._forward_hook(number)),
            ]
        with self._allocated:
            with torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor):
                with autocast(precision, images.device):
                    logits = self.twin.model(images)
                loss = F.cross_entropy(logits.float(), labels)
            self._update_peak(self.forward_peaks, self._last)
            del logits
            if loss.requires_grad:
                loss.backward()
                self._update_peak(self.backward_peaks, self._last)
        for handle in handles:
            handle.remove()
        self.twin.model.zero_grad(set_to_none=True)
        return self

    def _forward_pre_hook(self, owner: int) -> Any:
        def hook(module: nn.Module, args: object) -> None:
            # Set the following owner of all tensors saved since the last owner ended.
            for index in range(len(self.saved) - 1, -1, -1):
                saved = self.saved[index]
                if saved.following is not None or saved.previous != self._last:
                    break
                self.saved[index] = replace(saved, following=owner)
            self._inside.append((owner, self._ended))

        return hook

    def _forward_hook(self, owner: int) -> Any:
        def hook(module: nn.Module, args: object, output: Any) -> None:
            _, ended = self._inside.pop()
            # If the owner contains other owners, its output is that of the last of them.
            last = self._last if self._ended > ended else owner
            self._ended += 1
            self._last = last
            self._update_peak(self.forward_peaks, last)
            tensor = output[0] if isinstance(output, (tuple, list)) and output else output
            if isinstance(tensor, Tensor) and tensor.requires_grad:
                tensor.register_hook(lambda _: gradient_arrived(last))

        def gradient_arrived(last: int) -> None:
            self._update_peak(self.backward_peaks, self._last)
            self._last = last

        return hook

    def _update_peak(self, peaks: list[int], owner: int) -> None:
        peaks[owner] = max(peaks[owner], self._allocated.take_peak())

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._resident:
            inside, ended = self._inside[-1] if self._inside else (None, -1)
            previous = self._last if self._ended > ended else None
            kind = (tensor.dtype, tuple(tensor.shape))
            self.saved.append(
                _SavedTensor(storage._cdata, storage.nbytes(), kind, inside, previous)
            )
        return tensor


# --- which masks save a tensor --------------------------------------------------------------------


@dataclass
class _SavedStorage:
    """A storage and the owners that decide whether it is saved; see `SavedTensors`."""

    at: int
    bytes: int
    reached: set[int] = field(default_factory=set)
    learning: set[int] = field(default_factory=set)


def _merge_saved_tensors(
    stack: Stack, full: _TracedPass, propagating: _TracedPass
) -> tuple[SavedTensors, ...]:
    """Return the saved tensors of two traced passes, with the masks for which a step saves them.

    A tensor that an owner saves in the propagating pass is needed whenever the gradient reaches
    that owner. A tensor that the owner saves only in the full pass is needed only if the owner is
    trainable. A tensor that is saved between two owners depends on their order: if the first is an
    ancestor of the second, it is needed when the gradient reaches a parent of the second;
    otherwise it is needed when the gradient reaches the first.

    Args:
        stack: The stack, whose owners know their parents.
        full: The pass with everything trainable.
        propagating: The pass with a gradient only for the images.
    """
    ancestors: list[int] = []  # one bit per owner
    for owner in stack.owners:
        bits = 0
        for parent in owner.parents:
            bits |= ancestors[parent] | 1 << parent
        ancestors.append(bits)
    propagated = Counter((saved.inside, saved.kind) for saved in propagating.saved)
    storages: dict[int, _SavedStorage] = {}
    for saved in full.saved:
        inside, previous, following = saved.inside, saved.previous, saved.following
        at = next(owner for owner in (following, previous, inside) if owner is not None)
        storage = storages.setdefault(saved.storage, _SavedStorage(at, saved.bytes))
        propagated[inside, saved.kind] -= 1
        if inside is not None and propagated[inside, saved.kind] < 0:
            storage.learning.add(inside)
        elif previous is None:
            storage.reached.add(at)  # within an owner, or before anything needs a gradient
        elif following is not None and ancestors[following] >> previous & 1:
            storage.reached.update(stack.owners[following].parents)
        else:
            storage.reached.add(previous)
    merged: Counter[tuple[int, tuple[int, ...], tuple[int, ...]]] = Counter()
    for storage in storages.values():
        # A gradient that reaches an owner also reaches its descendants, so ancestors of the owners
        # in `reached` are implied.
        implied = 0
        for owner_index in storage.reached:
            implied |= ancestors[owner_index]
        reached = {i for i in storage.reached if not implied >> i & 1}
        learning = {i for i in storage.learning - reached if not implied >> i & 1}
        merged[storage.at, tuple(sorted(reached)), tuple(sorted(learning))] += storage.bytes
    return tuple(
        SavedTensors(at, size, reached, learning)
        for (at, reached, learning), size in sorted(merged.items())
    )
