"""Capture training steps as CUDA graphs and replay them.

On a GPU, a step is rarely limited by arithmetic: launching the kernels of a ResNet-152 one by one
takes longer than running them. A graph launches all of them at once.

A graph contains the forward and backward pass and the norms of all gradients. It is valid for one
mask, one set of BatchNorm modes, one cut, one precision and one input shape. A change of the shape
needs another graph; any other change discards all graphs. The optimizer's update is not captured,
because learning rates change with every step. Measured steps have graphs of their own: their hooks
ran during capture, and their events are timed in every replay.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from engine.training.probe import Probe, RecordedPasses
from engine.training.step_result import PassResult

WARM = 1
"""The number of eager steps before a capture. In them, libraries choose and load their kernels,
which cannot be captured."""

RunPasses = Callable[[Tensor, Tensor], PassResult]
"""Runs the forward and backward pass for images and labels."""


@dataclass(frozen=True)
class _Graph:
    """A captured graph with its static tensors."""

    graph: torch.cuda.CUDAGraph
    images: Tensor
    """The tensor that the graph reads the images from."""
    labels: Tensor
    """The tensor that the graph reads the labels from."""
    gradients: list[tuple[nn.Parameter, Tensor]]
    """The parameters with the tensors that the graph writes their gradients to."""
    passes: PassResult
    recorded: RecordedPasses | None
    """What the probe recorded during capture; None for steps that are not measured."""


class CudaGraphs:
    """The CUDA graphs of a trainer."""

    def __init__(self, probe: Probe, device: torch.device) -> None:
        self.probe, self.device = probe, device
        self.why = ""
        """Why steps run eagerly although graphs are enabled; empty while capture works."""
        self._kind: Hashable = None
        self._graphs: dict[Hashable, _Graph] = {}
        self._eager_steps: dict[Hashable, int] = {}
        """The number of eager steps so far, by the key of the graph."""
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
        """Run the forward and backward pass: replay a graph, or run eagerly if there is none yet.

        Args:
            kind: Everything a graph depends on besides the shape: mask, modes, cut and precision.
            images: [N, …], on the device.
            labels: [N], on the device.
            measured: Whether the probe records the passes.
            run: Runs both passes. Parameters must have no gradients before.

        Raises:
            torch.OutOfMemoryError: Memory ran out in eager passes.
        """
        if kind != self._kind:
            self.drop()
            self._kind = kind
        key = (images.shape, images.dtype, images.is_contiguous(), measured)
        graph = self._graphs.get(key)
        if graph is None:
            count = self._eager_steps[key] = self._eager_steps.get(key, 0) + 1
            if self.why or count <= WARM:
                return run(images, labels)
            graph = self._capture(key, images, labels, measured=measured, run=run)
            if graph is None:
                return run(images, labels)
        graph.images.copy_(images)
        graph.labels.copy_(labels)
        for parameter, gradient in graph.gradients:
            parameter.grad = gradient
        if graph.recorded is not None:
            self.probe.use_recorded(graph.recorded)
        graph.graph.replay()
        return graph.passes

    def drop(self) -> bool:
        """Discard all graphs and free their memory; return whether there were any."""
        had_graphs = bool(self._graphs)
        self._graphs.clear()
        self._eager_steps.clear()
        self._pool = None
        self.why = ""
        return had_graphs

    def _capture(
        self, key: Hashable, images: Tensor, labels: Tensor, *, measured: bool, run: RunPasses
    ) -> _Graph | None:
        """Capture the passes without executing them; return None if they cannot be captured."""
        parameters = self.probe.parameters
        static_images, static_labels = images.clone(), labels.clone()
        graph = torch.cuda.CUDAGraph()
        torch.cuda.reset_peak_memory_stats(self.device)
        try:
            with torch.cuda.graph(graph, pool=self._pool):
                passes = run(static_images, static_labels)
        except Exception as error:  # the model cannot be captured, or memory ran out
            for parameter in parameters:
                parameter.grad = None
            torch.cuda.synchronize(self.device)
            lines = str(error).strip().splitlines() or [type(error).__name__]
            self.why = f"they cannot be captured as a CUDA graph ({lines[0]})"
            return None
        self._pool = graph.pool()
        captured = self._graphs[key] = _Graph(
            graph,
            static_images,
            static_labels,
            gradients=[(p, p.grad) for p in parameters if p.grad is not None],
            passes=replace(
                passes, memory_used=torch.cuda.max_memory_allocated(self.device), captured=True
            ),
            recorded=self.probe.recorded() if measured else None,
        )
        return captured
