"""The feature cache: run a frozen prefix once per image and reuse its activations.

The cache is exact if the prefix gives the same output for an image every time: it is frozen and in
eval mode, and images are not augmented. In fp32 and on the same device, losses equal those of the
full forward pass.

Changes of the prefix are detected by the version counters of its tensors, which every in-place
write increments. The cached activations therefore become invalid after a step that trains the
prefix, after a reset, and when other weights are loaded. Freezing or unfreezing layers without a
step keeps them.
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
"""The versions of the tensors that activations depend on, and whether autocast was used."""


def last_frozen_cut(stack: Stack, mask: Mask) -> Cut | None:
    """Return the last cut below all layers that the gradient reaches; None if there is none.

    Args:
        stack: The model's layer stack.
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
    return None  # the gradient reaches nothing, so nothing is trained


@dataclass
class _Entry:
    """The cached activations at one cut."""

    state: State
    """The state of the prefix that made them."""
    store: FeatureStore | None = None
    """The activations; None before the first image."""
    rows: dict[str, int] = field(default_factory=dict)
    """Row of each image in the store, by path."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Why an image cannot be read, by path."""


@dataclass(frozen=True)
class CacheUse:
    """Whether and where the next steps use the cache."""

    cut: Cut | None
    """The cut that steps run from; None if they run from the images."""
    why: str
    """Why steps run from the images; empty if they use the cache."""


class FeatureCache:
    """The activations at cuts of one model, in memory up to a limit and then in files."""

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
            stack: The model's layer stack.
            decoder: Reads the images.
            device: The model's device. Activations are kept in its memory first, then in a file.
            images: The number of images in the dataset.
            image_size: Side of the images in pixels.
            memory: Returns the number of bytes that may be used on the device. Called when a cut
                is first used.
            folder: The folder for files with the activations that do not fit into memory.
            half: Whether to store half precision. Losses then differ slightly from those of the
                full forward pass.
        """
        self.stack, self.decoder, self.device = stack, decoder, device
        self.images, self.image_size = images, image_size
        self.memory, self.folder, self.half = memory, folder, half
        self._file_failure = ""
        """Why a file could not be read; if set, no more files are used."""
        self.hits = 0
        """The number of images so far that were taken from the cache."""
        self.misses = 0
        """The number of images so far that were run through the prefix."""
        self._entries: dict[str, _Entry] = {}
        """The cached activations by name of the cut, the most recently used last."""
        self._order = {cut.name: number for number, cut in enumerate(stack.cuts)}
        self._chosen: dict[Mask, CacheUse] = {}
        self._prefixes: dict[str, tuple[int, list[Tensor]]] = {}

    # --- choice of the cut ----------------------------------------------------------------------

    def choose(self, mask: Mask, norm_modes: Mapping[int, NormMode], augmentation: str) -> CacheUse:
        """Return the cut that steps with these settings can run from.

        Args:
            mask: The trainable owners.
            norm_modes: Modes that the user set for BatchNorms, by owner.
            augmentation: The augmentation of the training images.
        """
        if augmentation != "none":
            return CacheUse(None, f"augmentation {augmentation} changes every image")
        drifting = frozenset(owner for owner, mode in norm_modes.items() if mode == "train")
        changing = mask | drifting
        if changing not in self._chosen:
            if len(self._chosen) > 100:
                self._chosen.clear()
            self._chosen[changing] = self._choose(changing)
        return self._chosen[changing]

    def _choose(self, changing: Mask) -> CacheUse:
        if self.stack.graph_module is None:
            return CacheUse(None, "the model cannot be traced")
        cut = last_frozen_cut(self.stack, changing)
        if cut is None:
            reason = "no frozen layers below the trained ones" if changing else "nothing is trained"
            return CacheUse(None, reason)
        activation_size, image_size = math.prod(cut.shape), 3 * self.image_size**2
        if activation_size > image_size:
            return CacheUse(
                None,
                f"activations at {cut.name} are larger than images ({activation_size:,} against "
                f"{image_size:,} values)",
            )
        return CacheUse(cut, "")

    def rows_below(self, cut: Cut | None) -> int:
        """Return the number of rows, from the first, that a step from this cut does not run."""
        return 0 if cut is None else self._prefix(cut)[0]

    def _prefix(self, cut: Cut) -> tuple[int, list[Tensor]]:
        """Return the number of rows below a cut, and the tensors its activations depend on."""
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
        # Every in-place write increments a version. BatchNorm's kernels update running statistics
        # without that, but `num_batches_tracked` is incremented along with them.
        return tuple(tensor._version for tensor in self._prefix(cut)[1])

    # --- activations ----------------------------------------------------------------------------

    def batch(self, cut: Cut, samples: tuple[Sample, ...], epoch: int, autocast: bool) -> Batch:
        """Return images as a batch of activations [N, ...] at a cut, without unreadable images.

        Args:
            cut: The cut.
            samples: The images.
            epoch: The epoch, counted from 1.
            autocast: Whether to run the prefix with autocast to bfloat16.
        """
        entry = self._valid_entry(cut, autocast)
        missing = tuple(
            sample
            for sample in samples
            if sample.path not in entry.rows and sample.path not in entry.unreadable
        )
        self.hits += len(samples) - len(missing)
        self.misses += len(missing)
        computed: dict[str, Tensor] = {}
        if missing:
            # Run the whole batch, because kernels and therefore the last bits depend on its size.
            # If the store is full, run only the missing images: some are missing in every epoch.
            full = entry.store is not None and entry.store.failure
            computed = self._compute(cut, entry, missing if full else samples, autocast)
        skipped = tuple(
            (sample, entry.unreadable[sample.path])
            for sample in samples
            if sample.path in entry.unreadable
        )
        read = tuple(sample for sample in samples if sample.path not in entry.unreadable)
        try:
            values = self._gather(entry, read, computed)
        except OSError as error:  # the file was truncated or its disk is gone; compute again
            self._drop_unreadable(cut.name, error)
            return self.batch(cut, samples, epoch, autocast)
        labels = torch.tensor([sample.label for sample in read], dtype=torch.int64)
        return Batch(values, labels, epoch, skipped, samples=read, cut=cut, executed=len(missing))

    @staticmethod
    def _gather(entry: _Entry, samples: tuple[Sample, ...], computed: dict[str, Tensor]) -> Tensor:
        """Return the activations [N, ...] of samples, computed ones rather than stored ones."""
        if not samples:
            return torch.empty(0)
        if not computed:
            assert entry.store is not None
            return entry.store.get([entry.rows[sample.path] for sample in samples])
        return torch.stack(
            [
                computed[sample.path]
                if sample.path in computed
                else entry.store.get([entry.rows[sample.path]])[0]  # type: ignore[union-attr]
                for sample in samples
            ]
        )

    def _valid_entry(self, cut: Cut, autocast: bool) -> _Entry:
        """Return the entry of a cut; a new one if the prefix has changed since it was made."""
        state = (*self._state(cut), int(autocast))
        entry = self._entries.pop(cut.name, None)
        if entry is not None and entry.state != state:
            self._close(entry)
            entry = None
        self._entries[cut.name] = entry = entry or _Entry(state)
        return entry

    def _compute(
        self, cut: Cut, entry: _Entry, samples: tuple[Sample, ...], autocast: bool
    ) -> dict[str, Tensor]:
        """Run the prefix on images and store the activations that are new.

        Returns:
            The activations by path, in full precision. Empty if they must be read from the store,
            so that half precision is used from the first epoch on.
        """
        stored_below = self._stored_below(cut, samples, autocast)
        if stored_below is not None:
            start, batch = stored_below
        else:
            start, batch = None, self.decoder.collect(samples, self.decoder.submit(samples), 0)
        entry.unreadable.update((sample.path, reason) for sample, reason in batch.skipped)
        if not len(batch.labels):
            return {}
        self.stack.model.eval()
        with torch.no_grad():  # inference tensors could not be saved for backward
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=autocast):
                values = self.stack.run_between(start, cut, batch.images.to(self.device))
        if entry.store is None:
            entry.store = self._new_store(cut, values[0])
        computed = dict(zip((sample.path for sample in batch.samples), values, strict=True))
        new = [path for path in computed if path not in entry.rows]
        if new and not entry.store.failure:
            rows = entry.store.add(torch.stack([computed[path] for path in new]))
            entry.rows.update(zip(new, rows, strict=False))
        if self.half and not entry.store.failure:
            return {}
        return computed

    def _stored_below(
        self, cut: Cut, samples: tuple[Sample, ...], autocast: bool
    ) -> tuple[Cut, Batch] | None:
        """Return the activations at the highest lower cut that has valid ones for all samples."""
        cuts = {other.name: other for other in self.stack.cuts[: self._order[cut.name]]}
        for name, other in reversed(cuts.items()):
            entry = self._entries.get(name)
            if entry is None or entry.store is None or self.half:
                continue
            if entry.state != (*self._state(other), int(autocast)):
                continue
            if all(sample.path in entry.rows for sample in samples):
                try:
                    values = entry.store.get([entry.rows[sample.path] for sample in samples])
                except OSError as error:
                    self._drop_unreadable(name, error)
                    continue
                labels = torch.tensor([sample.label for sample in samples])
                return other, Batch(values, labels, 0, samples=samples)
        return None

    def _drop_unreadable(self, name: str, error: OSError) -> None:
        """Drop the activations at a cut whose file cannot be read, and use no more files."""
        self._file_failure = f"a cache file could not be read ({error.strerror or error})"
        self._close(self._entries.pop(name))

    def _new_store(self, cut: Cut, like: Tensor) -> FeatureStore:
        """Return a store for a cut, dropping the least recently used ones if memory is short."""
        needed, allowed = like.numel() * like.element_size() * self.images, self.memory()
        for name in list(self._entries):
            if self._reserved_bytes() + needed <= allowed or name == cut.name:
                break
            self._close(self._entries.pop(name))
        return FeatureStore(
            like,
            rows=self.images,
            memory=max(0, allowed - self._reserved_bytes()),
            file=None if self._file_failure else self.folder / f"{cut.name}.bin",
            no_file_reason=self._file_failure,
            dtype=torch.float16 if self.half else like.dtype,
        )

    def _reserved_bytes(self) -> int:
        return sum(entry.store.reserved_bytes for entry in self._entries.values() if entry.store)

    # --- statistics -----------------------------------------------------------------------------

    def images_at(self, cut: Cut) -> int:
        """Return the number of images cached at a cut."""
        entry = self._entries.get(cut.name)
        return len(entry.rows) if entry else 0

    def bytes_at(self, cut: Cut) -> tuple[int, int]:
        """Return the number of bytes cached at a cut: on the device, and in a file."""
        entry = self._entries.get(cut.name)
        if entry is None or entry.store is None:
            return 0, 0
        return entry.store.memory_bytes, entry.store.file_bytes

    def failure_at(self, cut: Cut) -> str:
        """Return why no more images can be cached at a cut; empty if they can."""
        entry = self._entries.get(cut.name)
        return entry.store.failure if entry and entry.store else ""

    def close(self) -> None:
        """Free memory and files."""
        for entry in self._entries.values():
            self._close(entry)
        self._entries.clear()
        with contextlib.suppress(OSError):  # the folder does not exist or is not empty
            self.folder.rmdir()

    @staticmethod
    def _close(entry: _Entry) -> None:
        if entry.store is not None:
            entry.store.close()
