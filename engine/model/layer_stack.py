"""The layer stack of any `nn.Module`, found from the model itself.

`rows.py` walks the model and finds rows, stages and owners; two torch.fx traces give the rest. The
first, down to the owners, gives ancestry: which owner's output feeds which. The second keeps the
rows whole and gives the *cuts*: places where one tensor is all that passes on, from which the
model can be run. Where a model cannot be traced, ancestry is the order of execution and there are
no cuts.
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
"""What the layers between the first (edges) and the head (classes) see, by depth."""


@dataclass(frozen=True)
class Cut:
    """A place from which the model can be run, because one tensor is all that passes on."""

    name: str
    node: fx.Node
    row: int | None
    """The row that ends here, if one does."""
    shape: tuple[int, ...]
    """Of the activation of one image."""


@dataclass(frozen=True)
class Part:
    """A module of the model, and what decides whether it runs in train or eval mode."""

    module: nn.Module
    owner: int | None
    """The owner that it is."""
    within: frozenset[int] | None
    """If it is none: the owners within it, or, with none within, those of its row; None for what
    is in no row."""


class Stack:
    """Rows, owners, ancestry and cuts of one model."""

    def __init__(self, model: nn.Module, example: Tensor, head: nn.Module | None = None) -> None:
        """Find the stack.

        Args:
            model: Any module that takes one tensor. It is run once, in eval mode, unchanged.
            example: An input, such as [1, 3, height, width], on the model's device.
            head: The new head; its row's role is `classes`. None: the last row's is.

        Raises:
            ValueError: the model has no parameters.
        """
        self.model = model
        order, shapes = observe(model, example)
        self.rows, self.stages = find_rows(model, order)
        if not self.rows:
            raise ValueError("the model has no parameters, so there is nothing to train")
        self.owners = find_owners(model, self.rows, order)
        for row in self.rows:
            # The main module's, not that of a pooling which joined it: 512 × 7 × 7 for layer4.
            row.input_shape, row.output_shape = shapes[row.name]
            row.head = head is not None and any(
                module is head for _, top in row.modules for module in top.modules()
            )
        if head is None:
            self.rows[-1].head = True
        self._name_roles()
        self.parts = list(self._find_parts())
        self.traced = self._trace_ancestry()
        self.graph_module: fx.GraphModule | None = None
        self.cuts: list[Cut] = []
        self._above: dict[str, fx.GraphModule] = {}
        self._trace_cuts(example)

    # --- running from a cut ---------------------------------------------------------------------

    def run_to(self, cut: Cut, images: Tensor) -> Tensor:
        """The activation at a cut, [N, ...], for a batch of images [N, 3, height, width]."""
        return self.run_between(None, cut, images)

    def run_between(self, start: Cut | None, cut: Cut, value: Tensor) -> Tensor:
        """The activation at a cut, for images or for the activation at a cut before it."""
        if start is not None and any(self._writes_in_place(user) for user in start.node.users):
            value = value.clone()
        return self._interpret(value, start.node if start else None, cut.node)

    def run_from(self, cut: Cut, activation: Tensor) -> Tensor:
        """The model's output for an activation at a cut; `run_from(c, run_to(c, x))` is the model.

        The activation itself stays as it is, in-place layers behind the cut notwithstanding.
        """
        if any(self._writes_in_place(user) for user in cut.node.users):
            activation = activation.clone()
        if cut.name not in self._above:
            self._above[cut.name] = self._part_above(cut)
        return self._above[cut.name](activation)

    def _part_above(self, cut: Cut) -> fx.GraphModule:
        """What runs from a cut on, as a module of its own that shares every layer."""
        assert self.graph_module is not None, "a model without a trace has no cuts"
        graph, copies, passed = fx.Graph(), {}, False
        copies[cut.node] = graph.placeholder("activation")
        for node in self.graph_module.graph.nodes:
            if node is cut.node:
                passed = True
            elif node.op == "get_attr" or (passed and node.op != "placeholder"):
                copies[node] = graph.node_copy(node, copies.__getitem__)
        return fx.GraphModule(self.model, graph)

    def _interpret(self, value: Tensor, start: fx.Node | None, stop: fx.Node | None) -> Tensor:
        assert self.graph_module is not None, "a model without a trace has no cuts"
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

    def _trace_ancestry(self) -> bool:
        index = {owner.name: number for number, owner in enumerate(self.owners)}
        try:
            graph = _Tracer(whole=set()).trace(self.model)
        except Exception:  # fx raises whatever the model's own control flow runs into
            for number, owner in enumerate(self.owners):
                owner.parents = (number - 1,) if number else ()
            return False
        feeding: dict[fx.Node, frozenset[int]] = {}
        parents: dict[int, set[int]] = {number: set() for number in range(len(self.owners))}
        for node in graph.nodes:
            feeds = frozenset().union(*(feeding[source] for source in node.all_input_nodes))
            target = str(node.target)
            if node.op == "call_module":
                module = self.model.get_submodule(target)
                # A leaf may hold owners within itself (attention): taken as a chain.
                for inner, part in module.named_modules(prefix=target):
                    if inner in index and any(True for _ in part.parameters(recurse=False)):
                        parents[index[inner]] |= feeds
                        feeds = frozenset({index[inner]})
            elif node.op == "get_attr" and target.rpartition(".")[0] in index:
                feeds = frozenset({index[target.rpartition(".")[0]]})
            feeding[node] = feeds
        ancestors: list[set[int]] = []
        for number, owner in enumerate(self.owners):
            direct = sorted(parent for parent in parents[number] if parent < number)
            # A parent that another parent descends from adds nothing: residual chains stay short.
            known = set().union(*(ancestors[parent] for parent in direct))
            owner.parents = tuple(parent for parent in direct if parent not in known)
            ancestors.append(set(owner.parents).union(*(ancestors[p] for p in owner.parents)))
        return True

    def _trace_cuts(self, example: Tensor) -> None:
        whole = {module for row in self.rows for _, module in row.modules}
        try:
            graph = _Tracer(whole=whole).trace(self.model)
        except Exception:  # as above: without a trace there are no cuts
            return
        self.graph_module = fx.GraphModule(self.model, graph)
        nodes = list(graph.nodes)
        position = {node: number for number, node in enumerate(nodes)}
        last_use = {
            node: max((position[user] for user in node.users), default=position[node])
            for node in nodes
        }
        output = nodes[-1]
        values = _TensorNodes(self.graph_module)
        with torch.no_grad(), evaluating(self.model):
            values.run(example)
        ends = {_last_in_graph(row, nodes): number for number, row in enumerate(self.rows)}
        open_until = -1  # the furthest use of anything computed so far, this node left out
        for number, node in enumerate(nodes):
            computed = node.op not in ("placeholder", "get_attr", "output")
            if computed and open_until <= number and output not in node.users:
                if node in values.shapes:
                    name = str(node.target) if node.op == "call_module" else node.name
                    self.cuts.append(Cut(name, node, ends.get(node), values.shapes[node][1:]))
            if node.op != "get_attr":
                open_until = max(open_until, last_use[node])

    def _find_parts(self) -> Iterator[Part]:
        """Every module once; one that is in several rows as the last of them has it."""
        numbers = {owner.module: number for number, owner in enumerate(self.owners)}
        parts = {module: Part(module, None, None) for module in self.model.modules()}
        for row in self.rows:
            for _, top in row.modules:
                for module in top.modules():
                    inside = [numbers[part] for part in module.modules() if part in numbers]
                    within = frozenset(inside or row.owners)
                    parts[module] = Part(module, numbers.get(module), within)
        yield from parts.values()

    # --- in words -------------------------------------------------------------------------------

    def _name_roles(self) -> None:
        middle = [row for row in self.rows[1:] if not row.head]
        stages = sorted({row.stage for row in middle})
        by_stage = len(stages) >= len(ROLES)
        for number, row in enumerate(middle):
            place, count = (
                (stages.index(row.stage), len(stages)) if by_stage else (number, len(middle))
            )
            row.role = ROLES[place * len(ROLES) // count]
        self.rows[0].role = "edges"
        for row in self.rows:
            if row.head:
                row.role = "classes"

    def describe(self) -> StackInfo:
        """The stack as the protocol carries it."""
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


def _last_in_graph(row: Row, nodes: list[fx.Node]) -> fx.Node | None:
    names = {name for name, _ in row.modules}
    mine = [node for node in nodes if node.op == "call_module" and node.target in names]
    return mine[-1] if mine else None


@cache
def _reads_training(forward: Callable) -> bool:
    """A module's `forward` looks at `self.training`, which a trace through it would bake in."""
    try:
        return "self.training" in inspect.getsource(forward)
    except (OSError, TypeError):
        return False


class _Tracer(fx.Tracer):
    """A tracer that keeps some modules whole, and every one that reads `self.training`."""

    def __init__(self, whole: set[nn.Module]) -> None:
        super().__init__()
        self.whole = whole

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return (
            m in self.whole
            or super().is_leaf_module(m, module_qualified_name)
            or _reads_training(type(m).forward)
        )


class _TensorNodes(fx.Interpreter):
    """Runs a graph and remembers which nodes gave one floating-point tensor."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> object:
        value = super().run_node(n)
        if isinstance(value, Tensor) and value.is_floating_point():
            self.shapes[n] = tuple(value.shape)
        return value


# --- shapes in words ----------------------------------------------------------------------------


def _detail(module: nn.Module) -> str:
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
    """Such as `128 → 256, stride 2`, from the shapes seen in the forward pass."""
    before, after = row.input_shape, row.output_shape
    if not before or not after:
        return ""
    channels = f"{before[0]} → {after[0]}"
    if len(before) == len(after) == 3 and after[1] and len(row.modules) == 1:
        stride = before[1] // after[1]
        return f"{channels}, stride {stride}" if stride > 1 else channels
    return channels
