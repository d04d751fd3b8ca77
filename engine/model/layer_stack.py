"""The layer stack of any `nn.Module`.

`rows.py` finds rows, stages and owners by walking the model; two torch.fx traces give the rest. The
first trace goes down to the owners and gives their parents: which owner's output feeds which. The
second keeps rows whole and gives the *cuts*: points where a single tensor carries everything that
later layers need, so that the model can be run from there. For a model that cannot be traced,
parents follow the order of execution and there are no cuts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, fx, nn

from engine.model.rows import RUNNING_NORMS, Row, evaluating, find_owners, find_rows, observe
from tl_tui.protocol.layers import OwnerInfo, RowInfo, StackInfo, StageInfo

ROLES = ("textures", "patterns", "parts", "objects")
"""What layers detect between the first row (edges) and the head (classes), by depth."""


@dataclass(frozen=True)
class Cut:
    """A point in the model where a single tensor carries everything that later layers need."""

    name: str
    node: fx.Node
    """The node of the graph that produces the tensor."""
    row: int | None
    """Index of the row that ends at the cut; None if none does."""
    shape: tuple[int, ...]
    """The shape of the activation of one image."""


@dataclass(frozen=True)
class Part:
    """A module of the model, with the owners that decide whether it runs in train mode."""

    module: nn.Module
    owner: int | None
    """Index of the owner, if the module is one."""
    within: frozenset[int] | None
    """For any other module, the owners within it or, if there are none, those of its row. None if
    it is in no row."""


class Stack:
    """The rows, stages, owners and cuts of a model."""

    def __init__(self, model: nn.Module, example: Tensor, head: nn.Module | None = None) -> None:
        """
        Args:
            model: A module that takes one tensor. It is run in eval mode and not changed.
            example: An input, such as [1, 3, height, width], on the model's device.
            head: The new head, whose row gets the role `classes`. The last row if None.

        Raises:
            ValueError: The model has no parameters.
        """
        self.model = model
        order, shapes = observe(model, example)
        self.rows, self.stages = find_rows(model, order)
        if not self.rows:
            raise ValueError("the model has no parameters, so there is nothing to train")
        self.owners = find_owners(model, self.rows, order)
        for row in self.rows:
            # Of the main module, not of a pooling layer that joined it: 512 × 7 × 7 for layer4.
            row.input_shape, row.output_shape = shapes[row.name]
            row.head = head is not None and any(
                module is head for _, top in row.modules for module in top.modules()
            )
        if head is None:
            self.rows[-1].head = True
        self._name_roles()
        self.parts = list(self._find_parts())
        self.traced = self._trace_parents()
        self.graph_module: fx.GraphModule | None = None
        self.cuts: list[Cut] = []
        self._above: dict[str, fx.GraphModule] = {}
        self._trace_cuts(example)

    # --- running from a cut ---------------------------------------------------------------------

    def run_to(self, cut: Cut, images: Tensor) -> Tensor:
        """Return the activation [N, ...] at a cut for images [N, 3, height, width]."""
        return self.run_between(None, cut, images)

    def run_between(self, start: Cut | None, cut: Cut, value: Tensor) -> Tensor:
        """Return the activation [N, ...] at a cut.

        Args:
            start: An earlier cut; None to run from the images.
            cut: The cut to run to.
            value: The activation [N, ...] at `start`, or images [N, 3, height, width].
        """
        if start is not None and any(self._writes_in_place(user) for user in start.node.users):
            value = value.clone()
        return self._interpret(value, start.node if start else None, cut.node)

    def run_from(self, cut: Cut, activation: Tensor) -> Tensor:
        """Return the model's output for an activation [N, ...] at a cut.

        `run_from(cut, run_to(cut, images))` equals `model(images)`. The activation is not changed,
        even if the next layer works in place.
        """
        if any(self._writes_in_place(user) for user in cut.node.users):
            activation = activation.clone()
        if cut.name not in self._above:
            self._above[cut.name] = self._module_above(cut)
        return self._above[cut.name](activation)

    def _module_above(self, cut: Cut) -> fx.GraphModule:
        """Return the part of the model after a cut, as a module that shares its layers."""
        assert self.graph_module is not None, "only a traced model has cuts"
        graph, copies, passed = fx.Graph(), {}, False
        copies[cut.node] = graph.placeholder("activation")
        for node in self.graph_module.graph.nodes:
            if node is cut.node:
                passed = True
            elif node.op == "get_attr" or (passed and node.op != "placeholder"):
                copies[node] = graph.node_copy(node, copies.__getitem__)
        return fx.GraphModule(self.model, graph)

    def _interpret(self, value: Tensor, start: fx.Node | None, stop: fx.Node | None) -> Tensor:
        """Run the graph from a node (or the input) to a node (or the output)."""
        assert self.graph_module is not None, "only a traced model has cuts"
        interpreter = fx.Interpreter(self.graph_module)
        interpreter.env = {}
        running = start is None
        for node in self.graph_module.graph.nodes:
            if node.op == "placeholder":
                if start is None:
                    interpreter.env[node] = value
            elif start is not None and node is start:
                interpreter.env[node] = value
                running = True
            elif node.op == "get_attr" or running:
                interpreter.env[node] = interpreter.run_node(node)
                if node is stop or node.op == "output":
                    return interpreter.env[node]
        raise AssertionError("the graph has no output")

    def _writes_in_place(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return getattr(self.model.get_submodule(str(node.target)), "inplace", False)
        return bool(node.kwargs.get("inplace"))

    # --- tracing --------------------------------------------------------------------------------

    def _trace_parents(self) -> bool:
        """Set the parents of every owner; return whether the model could be traced."""
        index = {owner.name: number for number, owner in enumerate(self.owners)}
        try:
            graph = _Tracer(whole=set()).trace(self.model)
        except Exception:  # tracing can raise anything that the model's control flow raises
            for number, owner in enumerate(self.owners):
                owner.parents = (number - 1,) if number else ()
            return False
        sources: dict[fx.Node, frozenset[int]] = {}  # the owners that a node's value comes from
        parents: dict[int, set[int]] = {number: set() for number in range(len(self.owners))}
        for node in graph.nodes:
            feeds = frozenset().union(*(sources[source] for source in node.all_input_nodes))
            target = str(node.target)
            if node.op == "call_module":
                module = self.model.get_submodule(target)
                # A leaf may contain several owners (attention), which are treated as a chain.
                for inner, submodule in module.named_modules(prefix=target):
                    if inner in index and any(True for _ in submodule.parameters(recurse=False)):
                        parents[index[inner]] |= feeds
                        feeds = frozenset({index[inner]})
            elif node.op == "get_attr" and target.rpartition(".")[0] in index:
                feeds = frozenset({index[target.rpartition(".")[0]]})
            sources[node] = feeds
        ancestors: list[set[int]] = []
        for number, owner in enumerate(self.owners):
            direct = sorted(parent for parent in parents[number] if parent < number)
            # An ancestor of another parent is redundant; leaving it out keeps the lists short.
            known = set().union(*(ancestors[parent] for parent in direct))
            owner.parents = tuple(parent for parent in direct if parent not in known)
            ancestors.append(set(owner.parents).union(*(ancestors[p] for p in owner.parents)))
        return True

    def _trace_cuts(self, example: Tensor) -> None:
        """Find the cuts and the graph to run from them; a model that cannot be traced has none."""
        whole = {module for row in self.rows for _, module in row.modules}
        try:
            graph = _Tracer(whole=whole).trace(self.model)
        except Exception:  # as in `_trace_parents`
            return
        self.graph_module = fx.GraphModule(self.model, graph)
        nodes = list(graph.nodes)
        position = {node: number for number, node in enumerate(nodes)}
        last_use = {
            node: max((position[user] for user in node.users), default=position[node])
            for node in nodes
        }
        output = nodes[-1]
        recorder = _ShapeRecorder(self.graph_module)
        with torch.no_grad(), evaluating(self.model):
            recorder.run(example)
        shapes = recorder.shapes
        ends = {_last_node(row, nodes): number for number, row in enumerate(self.rows)}
        latest_use = -1  # the latest use of any value computed before the current node
        for number, node in enumerate(nodes):
            computed = node.op not in ("placeholder", "get_attr", "output")
            if computed and latest_use <= number and output not in node.users:
                if node in shapes:
                    name = str(node.target) if node.op == "call_module" else node.name
                    self.cuts.append(Cut(name, node, ends.get(node), shapes[node][1:]))
            if node.op != "get_attr":
                latest_use = max(latest_use, last_use[node])

    def _find_parts(self) -> Iterator[Part]:
        """Yield every module once; a module in several rows counts as part of the last one."""
        numbers = {owner.module: number for number, owner in enumerate(self.owners)}
        parts = {module: Part(module, None, None) for module in self.model.modules()}
        for row in self.rows:
            for _, top in row.modules:
                for module in top.modules():
                    inside = [numbers[part] for part in module.modules() if part in numbers]
                    within = frozenset(inside or row.owners)
                    parts[module] = Part(module, numbers.get(module), within)
        yield from parts.values()

    # --- description ----------------------------------------------------------------------------

    def _name_roles(self) -> None:
        """Set the role of every row, by stage if there are enough stages, else by row."""
        middle = [row for row in self.rows[1:] if not row.head]
        stages = sorted({row.stage for row in middle})
        by_stage = len(stages) >= len(ROLES)
        for number, row in enumerate(middle):
            depth, count = (
                (stages.index(row.stage), len(stages)) if by_stage else (number, len(middle))
            )
            row.role = ROLES[depth * len(ROLES) // count]
        self.rows[0].role = "edges"
        for row in self.rows:
            if row.head:
                row.role = "classes"

    def describe(self) -> StackInfo:
        """Return the stack as a protocol message."""
        cut_rows = {cut.row for cut in self.cuts}
        owners = tuple(
            OwnerInfo(
                name=owner.name or "(model)",
                kind=type(owner.module).__name__,
                detail=_detail(owner.module),
                params=sum(parameter.numel() for parameter in owner.parameters),
                row=owner.row,
                parents=owner.parents,
                norm=owner.keeps_statistics,
            )
            for owner in self.owners
        )
        rows = tuple(
            RowInfo(
                name=row.name,
                kind=type(row.main).__name__,
                detail=_detail(row.main) or _block_detail(row),
                params=sum(owners[owner].params for owner in row.owners),
                role=row.role,
                stage=row.stage,
                first_owner=row.owners[0],
                end_owner=row.owners[-1] + 1,
                output_shape=row.output_shape,
                cut=number in cut_rows,
                head=row.head,
            )
            for number, row in enumerate(self.rows)
        )
        stages = tuple(
            StageInfo(
                name=stage.name,
                first_row=stage.first_row,
                end_row=stage.end_row,
                role=rows[stage.end_row - 1].role,
                params=sum(row.params for row in rows[stage.first_row : stage.end_row]),
                output_shape=rows[stage.end_row - 1].output_shape,
            )
            for stage in self.stages
        )
        return StackInfo(rows=rows, owners=owners, stages=stages, traced=self.traced)


def _last_node(row: Row, nodes: list[fx.Node]) -> fx.Node | None:
    """Return the last node that calls a module of the row."""
    names = {name for name, _ in row.modules}
    calls = [node for node in nodes if node.op == "call_module" and node.target in names]
    return calls[-1] if calls else None


@cache
def _reads_training(forward: Callable) -> bool:
    """Return whether a `forward` reads `self.training`, which a trace through it would fix."""
    try:
        return "self.training" in inspect.getsource(forward)
    except (OSError, TypeError):
        return False


class _Tracer(fx.Tracer):
    """A tracer that does not trace into some modules, nor into any that read `self.training`."""

    def __init__(self, whole: set[nn.Module]) -> None:
        super().__init__()
        self.whole = whole

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return (
            m in self.whole
            or super().is_leaf_module(m, module_qualified_name)
            or _reads_training(type(m).forward)
        )


class _ShapeRecorder(fx.Interpreter):
    """Runs a graph and records the shape of each node that returns a floating-point tensor."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> object:
        value = super().run_node(n)
        if isinstance(value, Tensor) and value.is_floating_point():
            self.shapes[n] = tuple(value.shape)
        return value


# --- sizes as text ------------------------------------------------------------------------------


def _detail(module: nn.Module) -> str:
    """Return a layer's sizes, such as `64 → 128, 3×3, stride 2`; empty for other modules."""
    if isinstance(module, nn.modules.conv._ConvNd):
        size = "×".join(str(side) for side in module.kernel_size)
        stride = f", stride {module.stride[0]}" if module.stride[0] != 1 else ""
        groups = f", {module.groups} groups" if module.groups != 1 else ""
        return f"{module.in_channels} → {module.out_channels}, {size}{stride}{groups}"
    if isinstance(module, nn.Linear):
        return f"{module.in_features} → {module.out_features}"
    if isinstance(module, RUNNING_NORMS):
        return str(module.num_features)
    return ""


def _block_detail(row: Row) -> str:
    """Return a block's sizes, such as `128 → 256, stride 2`, from its recorded shapes."""
    input_shape, output_shape = row.input_shape, row.output_shape
    if not input_shape or not output_shape:
        return ""
    channels = f"{input_shape[0]} → {output_shape[0]}"
    if len(input_shape) == len(output_shape) == 3 and output_shape[1] and len(row.modules) == 1:
        stride = input_shape[1] // output_shape[1]
        return f"{channels}, stride {stride}" if stride > 1 else channels
    return channels
