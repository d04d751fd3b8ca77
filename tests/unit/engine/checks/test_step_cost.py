"""Step costs: predicted memory equals real memory, larger masks never cost less, and measuring does
not affect the run. Also the memory that is free."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from engine.checks.cost.measure import measure_step_cost
from engine.hardware.memory_limit import Memory, memory, memory_refusal
from engine.model import freezing
from engine.model.layer_stack import Stack
from tl_tui.estimates.cost_model import predict_step_cost, saved_bytes
from tl_tui.protocol.checks import SavedTensors, StepCostMeasured

SIZE, BATCH = 64, 4
CPU = torch.device("cpu")


def measured(stack: Stack) -> StepCostMeasured:
    *_, cost = measure_step_cost(
        stack,
        CPU,
        batch_shape=(BATCH, 3, SIZE, SIZE),
        classes=2,
        optimizer="sgd",
        precision="fp32",
    )
    assert cost is not None
    return cost


def real_saved_bytes(stack: Stack, mask: frozenset[int]) -> int:
    """Return the bytes that autograd saves in a real forward pass, each storage once."""
    freezing.set_requires_grad(stack, mask)
    freezing.set_modes(stack, mask, {})
    images = torch.randn(BATCH, 3, SIZE, SIZE)
    resident = (*stack.model.parameters(), *stack.model.buffers(), images)
    known = {tensor.untyped_storage()._cdata for tensor in resident}
    seen: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            seen[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = F.cross_entropy(stack.model(images), torch.zeros(BATCH, dtype=torch.int64))
    loss.backward()  # frees the saved tensors
    stack.model.zero_grad()
    return sum(seen.values())


def build(arch: str) -> Stack:
    torch.manual_seed(0)
    model = torchvision.models.get_model(arch, weights=None, num_classes=2)
    return Stack(model, torch.zeros(1, 3, SIZE, SIZE))


@pytest.mark.parametrize(
    "arch", ["resnet18", pytest.param("mobilenet_v3_small", marks=pytest.mark.thorough)]
)
def test_predicted_saved_bytes_equal_those_of_a_real_forward_pass(arch: str) -> None:
    stack = build(arch)
    cost = measured(stack)
    parents = [owner.parents for owner in stack.owners]
    named = freezing.strategies(stack)
    masks = {
        **{name: named[name] for name in ("last-stage", "full", "bn-only")},
        "stem and head": frozenset({0}) | named["feature-extraction"],
        "every seventh": frozenset(range(3, len(parents), 7)),
    }
    for name, mask in masks.items():
        real = real_saved_bytes(stack, mask)
        assert saved_bytes(cost, parents, mask) == pytest.approx(real, rel=0.02), name
    assert cost.gradient_bytes == tuple(
        sum(p.nbytes for p in owner.parameters) for owner in stack.owners
    )
    assert cost.state_bytes == cost.gradient_bytes  # one momentum a weight
    full = predict_step_cost(cost, parents, named["full"])
    assert full.step_ms > predict_step_cost(cost, parents, named["feature-extraction"]).step_ms
    assert full.peak_bytes > saved_bytes(cost, parents, named["full"])


class Branches(nn.Module):
    """Two branches from one tensor, one of them with dropout, which draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.left = nn.Conv2d(4, 4, 3, padding=1)
        self.right = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5))
        self.head = nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(images))
        return self.head((self.left(x) + self.right(x)).mean((2, 3)))


def test_measuring_changes_neither_model_nor_random_state() -> None:
    stack = Stack(Branches(), torch.zeros(1, 3, SIZE, SIZE))
    mask = frozenset({1})
    freezing.set_requires_grad(stack, mask)
    freezing.set_modes(stack, mask, {})
    before = {name: t.clone() for name, t in stack.model.state_dict().items()}
    modes = [module.training for module in stack.model.modules()]
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    drawn = []
    units = measure_step_cost(
        stack, CPU, batch_shape=(2, 3, SIZE, SIZE), classes=2, optimizer="adamw", precision="fp32"
    )
    for _ in range(4):
        drawn.append(torch.rand(1))  # as a step of the run between two units would
        next(units)
    assert torch.equal(torch.cat(drawn), expected)
    after = torch.get_rng_state()
    cost = [*units][-1]
    assert torch.equal(torch.get_rng_state(), after)
    assert all(torch.equal(t, before[name]) for name, t in stack.model.state_dict().items())
    assert [module.training for module in stack.model.modules()] == modes
    assert [p.requires_grad for o in stack.owners for p in o.parameters] == [
        i in mask for i, o in enumerate(stack.owners) for _ in o.parameters
    ]
    assert all(parameter.grad is None for parameter in stack.model.parameters())
    assert cost is not None  # AdamW: two moments and a step count a parameter
    assert cost.state_bytes == tuple(
        2 * size + 4 * len(owner.parameters)
        for size, owner in zip(cost.gradient_bytes, stack.owners, strict=True)
    )


@st.composite
def costs(draw: st.DrawFn) -> tuple[StepCostMeasured, list[list[int]], set[int], set[int]]:
    """Draw a cost over a graph of owners, and two masks, the first a subset of the second."""
    count = draw(st.integers(1, 10))
    owners = st.integers(0, count - 1)
    parents = [sorted(draw(st.sets(st.integers(0, o - 1)))) if o else [] for o in range(count)]

    def per_owner(numbers: st.SearchStrategy) -> tuple:
        return tuple(draw(st.lists(numbers, min_size=count, max_size=count)))

    sizes, times = st.integers(0, 1000), st.floats(0, 1000)
    tensors = st.builds(
        SavedTensors,
        owners,
        sizes,
        st.lists(owners, max_size=2).map(tuple),
        st.lists(owners, max_size=2).map(tuple),
    )
    cost = StepCostMeasured(
        batch=1,
        forward_ms=per_owner(times),
        input_grad_ms=per_owner(times),
        weight_grad_ms=per_owner(times),
        fixed_ms=draw(times),
        saved=tuple(draw(st.lists(tensors, max_size=12))),
        gradient_bytes=per_owner(sizes),
        state_bytes=per_owner(sizes),
        forward_bytes=per_owner(sizes),
        forward_extra_bytes=per_owner(sizes),
        backward_bytes=per_owner(sizes),
        saved_overhead=draw(st.floats(0, 2)),
        gradient_overhead=draw(st.floats(0, 2)),
        fixed_bytes=draw(sizes),
    )
    wide = draw(st.sets(owners))
    narrow = draw(st.sets(st.sampled_from(sorted(wide)))) if wide else set()
    return cost, parents, narrow, wide


@given(costs())
def test_a_larger_mask_never_costs_less(
    case: tuple[StepCostMeasured, list[list[int]], set[int], set[int]],
) -> None:
    cost, parents, narrow, wide = case
    less, more = predict_step_cost(cost, parents, narrow), predict_step_cost(cost, parents, wide)
    assert less.step_ms <= more.step_ms * (1 + 1e-9)
    assert less.peak_bytes <= more.peak_bytes + 1  # a share is rounded
    assert saved_bytes(cost, parents, narrow) <= saved_bytes(cost, parents, wide)


# --- what is free ---------------------------------------------------------------------------------

GIB = 1 << 30


def made_up(root: Path, *, second: bool, groups: dict[str, tuple[str, int, int]]) -> Path:
    """Write a tree of control groups and the /proc of a process in the deepest one.

    Args:
        root: The folder to write to.
        second: Whether the tree is of version 2.
        groups: (limit, used, cached) in bytes of each group, by its path.
    """
    top, proc = root / "groups", root / "proc"
    (proc / "self").mkdir(parents=True)
    proc.joinpath("meminfo").write_text(
        f"MemTotal: {64 << 20} kB\nMemFree: 1 kB\nMemAvailable: {32 << 20} kB\n"
    )
    deepest = max(groups, key=len)
    for path, (limit, used, cached) in groups.items():
        folder = top / path.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        names = (
            ("memory.max", "memory.current", "inactive_file")
            if second
            else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        )
        (folder / names[0]).write_text(f"{limit}\n")
        (folder / names[1]).write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {cached}\n")
    kind, line = ("cgroup2", f"0::{deepest}") if second else ("cgroup", f"4:cpu,memory:{deepest}")
    proc.joinpath("self", "cgroup").write_text(f"9:name=systemd:/\n{line}\n")
    proc.joinpath("self", "mountinfo").write_text(
        f"31 23 0:28 / /elsewhere rw - tmpfs tmpfs rw\n"
        f"35 31 0:32 / {top} rw,relatime - {kind} cgroup rw,memory\n"
    )
    return proc


@pytest.mark.parametrize("second", [True, False])
def test_the_narrowest_of_nested_control_groups_is_the_bound(tmp_path: Path, second: bool) -> None:
    endless = "max" if second else "9223372036854771712"
    proc = made_up(
        tmp_path,
        second=second,
        groups={
            "/": (endless, 9 * GIB, 0),
            "/jobs": (str(8 * GIB), 7 * GIB, GIB // 2),
            "/jobs/mine": (str(4 * GIB), GIB, 0),
        },
    )
    assert memory(proc) == Memory(8 * GIB, 3 * GIB // 2, "the control group")


@pytest.mark.parametrize("second", [True, False])
def test_without_a_limit_the_machine_is_the_bound(tmp_path: Path, second: bool) -> None:
    endless = "max" if second else "9223372036854771712"
    proc = made_up(tmp_path, second=second, groups={"/": (endless, GIB, 0)})
    assert memory(proc) == Memory(64 * GIB, 32 * GIB, "this machine")


def test_an_unknown_control_group_falls_back_to_the_root_of_the_mount(tmp_path: Path) -> None:
    """In a container, /proc may name the group by its path on the host."""
    proc = made_up(tmp_path, second=True, groups={"/": (str(2 * GIB), GIB, 0)})
    proc.joinpath("self", "cgroup").write_text("0::/host/slice/container\n")
    assert memory(proc) == Memory(2 * GIB, GIB, "the control group")


def test_a_step_that_does_not_fit_into_memory_is_refused() -> None:
    bound = Memory(2 * GIB, GIB, "the control group")
    assert memory_refusal(GIB, bound) == ""
    sentence = memory_refusal(3 * GIB, bound)
    assert "3.0 GiB" in sentence and "2.0 GiB of the control group" in sentence
    assert "1.0 GiB are free" in sentence and sentence.count(".") - 3 == 1
