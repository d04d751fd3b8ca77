"""The feature cache: a frozen prefix is run once an image, and its activations are used again.

Exact as long as nothing below the cut is random or changes: the prefix frozen and in eval mode,
images without augmentation. In fp32, on the same device, losses are those of the full forward.
Whether the prefix changed is asked of the tensors themselves, by the version that every write in
place moves; so a step below, a reset or other weights make what was kept worthless, and a toggle
there and back does not.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.data.batches import Batch, Decoder
from engine.data.samples import Sample
from engine.model.freezing import Mask
from engine.model.layer_stack import Cut, Stack
from engine.training.feature_store import FeatureStore
from tl_tui.estimates.gradient_reach import predict_reach
from tl_tui.protocol.layers import NormMode

State = tuple[int, ...]


def cut_of(stack: Stack, mask: Mask) -> Cut | None:
    """The last place before anything that the gradient reaches; None if there is none.

    Args:
        stack: The stack.
        mask: The trainable owners.
    """
    if stack.graph_module is None:
        return None
    reach = predict_reach([owner.parents for owner in stack.owners], mask)
    reached = {
        name
        for row in stack.rows
        if any(reach[owner] != "unreached" for owner in row.owners)
        for name, _ in row.modules
    }
    cuts = {cut.node: cut for cut in stack.cuts}
    best: Cut | None = None
    for node in stack.graph_module.graph.nodes:
        target = str(node.target)
        if node.op == "call_module" and target in reached:
            return best
        if node.op == "get_attr" and any(target.startswith(f"{name}.") for name in reached):
            return best
        best = cuts.get(node, best)
    return None  # nothing is reached: there is nothing to train from a cut


@dataclass
class _Kept:
    """What is known of images at one cut, made by a prefix in one state."""

    state: State
    store: FeatureStore | None = None
    """None before the first image."""
    rows: dict[str, int] = field(default_factory=dict)
    """By path."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Why, by path."""


@dataclass(frozen=True)
class CacheUse:
    """What the coming steps do with the cache."""

    cut: Cut | None
    """From where they run; None is from the images."""
    why: str
    """Why they run from the images, in words; empty if they do not."""


class FeatureCache:
    """Activations at cuts of one model, in memory up to a limit and then in files."""

    def __init__(
        self,
        stack: Stack,
        decoder: Decoder,
        device: torch.device,
        *,
        images: int,
        image_size: int,
        memory: Callable[[], int],
        folder: Path,
        half: bool = False,
    ) -> None:
        """
        Args:
            stack: The model's.
            decoder: Reads images.
            device: The model's; the first activations are kept there.
            images: How many there are in all.
            image_size: Their side in pixels.
            memory: Bytes that may be taken on the device; asked when a cut is first used.
            folder: Of the files for what does not fit.
            half: Keep them in half precision; losses are then not quite those of the full forward.
        """
        self.stack, self.decoder, self.device = stack, decoder, device
        self.images, self.image_size = images, image_size
        self.memory, self.folder, self.half = memory, folder, half
        self._file_lost = ""
        """What became of a file that could not be read any more; no file is used after."""
        self.hits = 0
        """Images that were not run through the prefix, so far."""
        self.misses = 0
        self._kept: dict[str, _Kept] = {}
        """By the cut's name; the one that was used last comes last."""
        self._order = {cut.name: number for number, cut in enumerate(stack.cuts)}
        self._chosen: dict[Mask, CacheUse] = {}
        self._prefixes: dict[str, tuple[int, list[Tensor]]] = {}

    # --- where to cut ---------------------------------------------------------------------------

    def choose(self, mask: Mask, norm_modes: Mapping[int, NormMode], augmentation: str) -> CacheUse:
        """From where steps with this mask can run.

        Args:
            mask: The trainable owners.
            norm_modes: BatchNorms whose mode was switched by hand.
            augmentation: Of the training images.
        """
        if augmentation != "none":
            return CacheUse(None, f"augmentation {augmentation} makes every image anew")
        drifting = frozenset(owner for owner, mode in norm_modes.items() if mode == "train")
        changing = mask | drifting
        if changing not in self._chosen:
            if len(self._chosen) > 100:
                self._chosen.clear()
            self._chosen[changing] = self._choose(changing)
        return self._chosen[changing]

    def _choose(self, changing: Mask) -> CacheUse:
        if self.stack.graph_module is None:
            return CacheUse(None, "this model cannot be cut")
        cut = cut_of(self.stack, changing)
        if cut is None:
            return CacheUse(None, "nothing below is frozen" if changing else "nothing is trained")
        numbers, pixels = math.prod(cut.shape), 3 * self.image_size**2
        if numbers > pixels:
            return CacheUse(
                None,
                f"at {cut.name} it would not pay: {numbers:,} numbers for an image of {pixels:,}",
            )
        return CacheUse(cut, "")

    def rows_below(self, cut: Cut | None) -> int:
        """How many rows, from the first one, are not run by a step from this cut."""
        return 0 if cut is None else self._prefix(cut)[0]

    def _prefix(self, cut: Cut) -> tuple[int, list[Tensor]]:
        """The rows wholly below a cut, and every tensor that its activations depend on."""
        if cut.name not in self._prefixes:
            model, above, passed = self.stack.model, set(), False
            tensors: dict[int, Tensor] = {}
            assert self.stack.graph_module is not None
            for node in self.stack.graph_module.graph.nodes:
                target = str(node.target)
                if passed:
                    above.add(target)
                elif node.op == "call_module":
                    module: nn.Module = model.get_submodule(target)
                    for tensor in (*module.parameters(), *module.buffers()):
                        tensors[id(tensor)] = tensor
                elif node.op == "get_attr":
                    path, _, leaf = target.rpartition(".")
                    tensor = getattr(model.get_submodule(path), leaf)
                    tensors[id(tensor)] = tensor
                passed = passed or node is cut.node
            rows = 0
            for row in self.stack.rows:
                if any(name in above for name, _ in row.modules):
                    break
                rows += 1
            self._prefixes[cut.name] = rows, list(tensors.values())
        return self._prefixes[cut.name]

    def _state(self, cut: Cut) -> State:
        # Every write in place moves a version. Running statistics are written past it, but
        # `num_batches_tracked` moves with them.
        return tuple(tensor._version for tensor in self._prefix(cut)[1])

    # --- activations ----------------------------------------------------------------------------

    def batch(self, cut: Cut, samples: tuple[Sample, ...], epoch: int, autocast: bool) -> Batch:
        """These samples as activations [N, ...] at a cut; unreadable ones left out.

        Args:
            cut: Where.
            samples: The images.
            epoch: Counted from 1.
            autocast: The prefix is run in bfloat16 where autocast does.
        """
        kept = self._at(cut, autocast)
        missing = tuple(
            sample
            for sample in samples
            if sample.path not in kept.rows and sample.path not in kept.unreadable
        )
        self.hits += len(samples) - len(missing)
        self.misses += len(missing)
        fresh: dict[str, Tensor] = {}
        if missing:
            # The whole batch is run: kernels, and with them last bits, depend on its size. Where
            # there is no room for all images, that would be paid in every epoch.
            full = kept.store is not None and kept.store.failure
            fresh = self._compute(cut, kept, missing if full else samples, autocast)
        skipped = tuple(
            (sample, kept.unreadable[sample.path])
            for sample in samples
            if sample.path in kept.unreadable
        )
        read = tuple(sample for sample in samples if sample.path not in kept.unreadable)
        try:
            values = self._gather(kept, read, fresh)
        except OSError as error:  # cut off, or its disk is gone: begin anew, in memory alone
            self._lose(cut.name, error)
            return self.batch(cut, samples, epoch, autocast)
        labels = torch.tensor([sample.label for sample in read], dtype=torch.int64)
        return Batch(values, labels, epoch, skipped, samples=read, cut=cut, executed=len(missing))

    @staticmethod
    def _gather(kept: _Kept, samples: tuple[Sample, ...], fresh: dict[str, Tensor]) -> Tensor:
        """Activations [N, ...], those just made before those that are kept."""
        if not samples:
            return torch.empty(0)
        if not fresh:
            assert kept.store is not None
            return kept.store.get([kept.rows[sample.path] for sample in samples])
        return torch.stack(
            [
                fresh[sample.path]
                if sample.path in fresh
                else kept.store.get([kept.rows[sample.path]])[0]  # type: ignore[union-attr]
                for sample in samples
            ]
        )

    def _at(self, cut: Cut, autocast: bool) -> _Kept:
        """What is kept at a cut, made by the prefix as it is; nothing if that has changed."""
        state = (*self._state(cut), int(autocast))
        kept = self._kept.pop(cut.name, None)
        if kept is not None and kept.state != state:
            self._close(kept)
            kept = None
        self._kept[cut.name] = kept = kept or _Kept(state)
        return kept

    def _compute(
        self, cut: Cut, kept: _Kept, samples: tuple[Sample, ...], autocast: bool
    ) -> dict[str, Tensor]:
        """Run the prefix on a batch, and keep what is new.

        Returns:
            Its activations by path, in full precision.
        """
        below = self._below(cut, samples, autocast)
        if below is not None:
            start, batch = below
        else:
            start, batch = None, self.decoder.collect(samples, self.decoder.submit(samples), 0)
        kept.unreadable.update((sample.path, reason) for sample, reason in batch.skipped)
        if not len(batch.labels):
            return {}
        self.stack.model.eval()
        with torch.no_grad():  # not inference mode: what it makes cannot be saved for backward
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=autocast):
                values = self.stack.run_between(start, cut, batch.images.to(self.device))
        if kept.store is None:
            kept.store = self._new_store(cut, values[0])
        made = dict(zip((sample.path for sample in batch.samples), values, strict=True))
        new = [path for path in made if path not in kept.rows]
        if new and not kept.store.failure:
            rows = kept.store.add(torch.stack([made[path] for path in new]))
            kept.rows.update(zip(new, rows, strict=False))
        if self.half and not kept.store.failure:
            return {}  # what is kept is what is used, from the first time on
        return made

    def _below(
        self, cut: Cut, samples: tuple[Sample, ...], autocast: bool
    ) -> tuple[Cut, Batch] | None:
        """These samples at the highest cut below that still holds and has all of them."""
        cuts = {other.name: other for other in self.stack.cuts[: self._order[cut.name]]}
        for name, other in reversed(cuts.items()):
            kept = self._kept.get(name)
            if kept is None or kept.store is None or self.half:
                continue
            if kept.state != (*self._state(other), int(autocast)):
                continue
            if all(sample.path in kept.rows for sample in samples):
                try:
                    values = kept.store.get([kept.rows[sample.path] for sample in samples])
                except OSError as error:
                    self._lose(name, error)
                    continue
                labels = torch.tensor([sample.label for sample in samples])
                return other, Batch(values, labels, 0, samples=samples)
        return None

    def _lose(self, name: str, error: OSError) -> None:
        """A file cannot be read: what it held is given up, and none is used from here on."""
        self._file_lost = f"a file could not be read any more ({error.strerror or error})"
        self._close(self._kept.pop(name))

    def _new_store(self, cut: Cut, like: Tensor) -> FeatureStore:
        """A place for activations at a cut; those of other cuts make room, least used first."""
        wanted, allowed = like.numel() * like.element_size() * self.images, self.memory()
        for name in list(self._kept):
            if self._taken() + wanted <= allowed or name == cut.name:
                break
            self._close(self._kept.pop(name))
        return FeatureStore(
            like,
            rows=self.images,
            memory=max(0, allowed - self._taken()),
            file=None if self._file_lost else self.folder / f"{cut.name}.bin",
            no_file=self._file_lost,
            dtype=torch.float16 if self.half else like.dtype,
        )

    def _taken(self) -> int:
        return sum(kept.store.reserved_bytes for kept in self._kept.values() if kept.store)

    # --- what is there --------------------------------------------------------------------------

    def images_at(self, cut: Cut) -> int:
        """How many images are kept at a cut."""
        kept = self._kept.get(cut.name)
        return len(kept.rows) if kept else 0

    def bytes_at(self, cut: Cut) -> tuple[int, int]:
        """What they take: bytes on the device, bytes in a file."""
        kept = self._kept.get(cut.name)
        if kept is None or kept.store is None:
            return 0, 0
        return kept.store.memory_bytes, kept.store.file_bytes

    def failure_at(self, cut: Cut) -> str:
        """Why no more can be kept at a cut, in words."""
        kept = self._kept.get(cut.name)
        return kept.store.failure if kept and kept.store else ""

    def close(self) -> None:
        """Give memory and files back."""
        for kept in self._kept.values():
            self._close(kept)
        self._kept.clear()
        with contextlib.suppress(OSError):  # it is not there, or holds something else
            self.folder.rmdir()

    @staticmethod
    def _close(kept: _Kept) -> None:
        if kept.store is not None:
            kept.store.close()
