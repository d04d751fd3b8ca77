"""Train steps recorded as CUDA graphs, and replayed.

On a GPU a step is rarely bound by arithmetic: launching the kernels of a ResNet-152 one by one
takes longer than running them. A graph launches them all at once.

A graph is the forward and the backward pass with the norms of all gradients, for one mask, one set
of BatchNorm modes, one cut, one precision and one shape; at any change but of the last, all graphs
go. The update is not in it: learning rates and optimizer belong to every step anew.
A measured step has a graph of its own, whose hooks ran when it was recorded and whose events are
timed at every replay.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from engine.training.probe import Observed, Probe
from engine.training.step_result import PassResult

WARM = 1
"""Steps of a kind that are taken eagerly before one is recorded: libraries choose and load their
kernels in them, which cannot be recorded."""

RunPasses = Callable[[Tensor, Tensor], PassResult]


@dataclass(frozen=True)
class _Graph:
    graph: torch.cuda.CUDAGraph
    images: Tensor
    """What it reads, and `labels`."""
    labels: Tensor
    gradients: list[tuple[nn.Parameter, Tensor]]
    """Where it writes each."""
    passes: PassResult
    seen: Observed | None
    """What the probe saw when it was recorded, if it watched."""


class CudaGraphs:
    """The graphs of a trainer."""

    def __init__(self, probe: Probe, device: torch.device) -> None:
        self.probe, self.device = probe, device
        self.why = ""
        """Why steps are taken eagerly after all; empty if they are not."""
        self._kind: Hashable = None
        self._graphs: dict[Hashable, _Graph] = {}
        self._taken: dict[Hashable, int] = {}
        self._pool: Any = None

    def take(
        self,
        kind: Hashable,
        images: Tensor,
        labels: Tensor,
        *,
        measured: bool,
        run: RunPasses,
    ) -> PassResult:
        """Forward and backward: replayed, or eagerly where there is nothing to replay yet.

        Args:
            kind: What a graph depends on besides the shape: mask, modes, cut, precision.
            images: [N, …] on the device, and `labels` [N].
            measured: The probe watches.
            run: Runs both passes; parameters are without gradients before.

        Raises:
            torch.OutOfMemoryError: there was not enough for the eager passes.
        """
        if kind != self._kind:
            self.drop()
            self._kind = kind
        key = (images.shape, images.dtype, images.is_contiguous(), measured)
        known = self._graphs.get(key)
        if known is None:
            taken = self._taken[key] = self._taken.get(key, 0) + 1
            if self.why or taken <= WARM:
                return run(images, labels)
            known = self._record(key, images, labels, measured=measured, run=run)
            if known is None:
                return run(images, labels)
        known.images.copy_(images)
        known.labels.copy_(labels)
        for parameter, gradient in known.gradients:
            parameter.grad = gradient
        if known.seen is not None:
            self.probe.recall(known.seen)
        known.graph.replay()
        return known.passes

    def drop(self) -> bool:
        """Forget all graphs, and free their memory; whether there was one."""
        had = bool(self._graphs)
        self._graphs.clear()
        self._taken.clear()
        self._pool = None
        self.why = ""
        return had

    def _record(
        self, key: Hashable, images: Tensor, labels: Tensor, *, measured: bool, run: RunPasses
    ) -> _Graph | None:
        """A graph of the passes, or None if they cannot be recorded. Nothing is executed."""
        parameters = self.probe.parameters
        fixed = images.clone(), labels.clone()
        graph = torch.cuda.CUDAGraph()
        torch.cuda.reset_peak_memory_stats(self.device)
        try:
            with torch.cuda.graph(graph, pool=self._pool):
                passes = run(*fixed)
        except Exception as error:  # a model may do what cannot be recorded, or memory run out
            for parameter in parameters:
                parameter.grad = None
            torch.cuda.synchronize(self.device)
            said = str(error).strip().splitlines() or [type(error).__name__]
            self.why = f"they cannot be captured: {said[0]}"
            return None
        self._pool = graph.pool()
        known = self._graphs[key] = _Graph(
            graph,
            *fixed,
            gradients=[(p, p.grad) for p in parameters if p.grad is not None],
            passes=replace(
                passes, memory_used=torch.cuda.max_memory_allocated(self.device), captured=True
            ),
            seen=self.probe.seen() if measured else None,
        )
        return known
