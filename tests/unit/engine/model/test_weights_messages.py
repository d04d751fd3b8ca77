"""Messages about files of weights are true: what does not fit, and what was not used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from engine.model import state_dicts, weights_file, weights_note
from engine.model.architectures import find_head, outline
from engine.model.unfit_weights import why_unfit
from tl_tui.common.errors import Problem

ARCH = "shufflenet_v2_x0_5"
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return outline(ARCH)


@pytest.fixture(scope="module")
def state() -> State:
    return torchvision.models.get_model(ARCH).state_dict()


def fit_of(content: object, model: nn.Module) -> list[state_dicts.Fit]:
    fits = state_dicts.find_fits(content, model)
    assert fits and fits[0].complete
    return fits


def note(content: object, model: nn.Module) -> str:
    return weights_note.note(fit_of(content, model), "w.pth", find_head(model)[1])


def refusal(content: object, model: nn.Module) -> str:
    fits = state_dicts.find_fits(content, model)
    assert not (fits and fits[0].complete)
    return why_unfit(ARCH, model, content, fits)


def profiled(state: State) -> State:
    """Return a state with the counters that a profiler adds to every module."""
    modules = {""} | {f"{name.rpartition('.')[0]}." for name in state} | {"relu.", "maxpool."}
    counters = {f"{module}{last}": torch.zeros(1) for module in modules for last in ("ops", "par")}
    return state | counters


def test_what_was_not_used_names_no_module_that_was(state: State, model: nn.Module) -> None:
    added = profiled(state)
    each = (len(added) - len(state)) // 2
    said = note(added, model).partition("not used: ")[2]
    parts = said.removesuffix(f" ({2 * each} tensors).").split(", ")
    assert sorted(parts) == [f"ops of {each} modules", f"par of {each} modules"]
    one = state | {"aux.0.weight": torch.zeros(2, 2), "stage2.0.total": torch.zeros(1)}
    assert "not used: aux, stage2.0.total (2 tensors)" in note(one, model)


HEADS: dict[str, tuple[State, str]] = {
    "2 classes": (
        {"fc.weight": torch.zeros(2, 1024), "fc.bias": torch.zeros(2)},
        "(fc; 2 outputs)",
    ),
    "1 output": (
        {"fc.weight": torch.zeros(1, 1024), "fc.bias": torch.zeros(1)},
        "(fc; 1 output)",
    ),
    "a projection": (
        {"fc.0.weight": torch.zeros(64, 1024), "fc.2.weight": torch.zeros(128, 64)},
        "(fc.0, fc.2; 128 outputs)",
    ),
}


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_in_the_file_is_said_not_to_be_used(
    kind: str, state: State, model: nn.Module
) -> None:
    head, said = HEADS[kind]
    content = {name: tensor for name, tensor in state.items() if name[:3] != "fc."} | head
    assert note(content, model) == (
        f"The head in w.pth {said} is not used: the model gets a new head."
    )


def test_no_head_and_imagenet_s_need_no_word(state: State, model: nn.Module) -> None:
    assert note(state, model) == ""
    assert note({name: t for name, t in state.items() if name[:3] != "fc."}, model) == ""


FIRST = "conv1.0.weight"
OTHERS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[str, ...]]] = {
    "int8": (lambda t: t.to(torch.int8), (FIRST, "torch.int8", "with their scale")),
    "bool": (lambda t: t > 0, (FIRST, "torch.bool", "floating-point")),
    "complex": (lambda t: t.to(torch.complex64), (FIRST, "torch.complex64", "floating-point")),
    "meta": (lambda t: t.to("meta"), (FIRST, "no values", "torch.save(")),
    "sparse": (lambda t: t.to_sparse(), (FIRST, "torch.sparse_coo", "to_dense()")),
    "gray": (
        lambda t: t.sum(1, keepdim=True),
        ("(24, 1, 3, 3)", f"{ARCH} needs (24, 3, 3, 3)", "1 channel cannot be used for RGB"),
    ),
    "rgba": (lambda t: t[:, [0, 1, 2, 0]], ("(24, 4, 3, 3)", "4 channels cannot be used for RGB")),
    "kernel": (lambda t: t[..., :1], ("(24, 3, 3, 1)", "differs from torchvision's")),
    "volumes": (lambda t: t.unsqueeze(2), ("(24, 3, 1, 3, 3)", "3-D convolutions")),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_tensor_that_cannot_be_taken_is_named_with_the_reason(
    kind: str, state: State, model: nn.Module
) -> None:
    change, said = OTHERS[kind]
    changed = {f"module.{n}": change(t) if n == FIRST else t for n, t in state.items()}
    sentence = refusal({"state_dict": changed}, model)
    assert f"module.{FIRST} " in sentence
    assert [part for part in said if part not in sentence] == [], sentence


def test_a_vit_of_another_image_size_is_said_to_be_one() -> None:
    vit = outline("vit_b_16")
    name = "encoder.pos_embedding"
    content = {n: t if n != name else torch.zeros(1, 577, 768) for n, t in vit.state_dict().items()}
    said = why_unfit("vit_b_16", vit, content, state_dicts.find_fits(content, vit))
    assert "576 patches, and torchvision's vit_b_16 has 196" in said


def test_counters_can_be_of_any_number(state: State, model: nn.Module) -> None:
    for dtype in (torch.int32, torch.float64):
        content = {n: t if t.is_floating_point() else t.to(dtype) for n, t in state.items()}
        assert fit_of(content, model)


@pytest.mark.filterwarnings("ignore:.*quantize_per_tensor")
def test_quantised_models_are_said_to_be_quantised(state: State, model: nn.Module) -> None:
    packed = {"conv1.scale": torch.ones(1), "fc._packed_params": (torch.zeros(2, 2), None)}
    assert "quantised model (it has fc._packed_params.0)" in refusal(packed, model)
    weight = torch.quantize_per_tensor(state[FIRST], 0.1, 0, torch.qint8)
    assert f"({FIRST} has the type torch.qint8)" in refusal(state | {FIRST: weight}, model)


def test_names_of_other_models_do_not_count(model: nn.Module) -> None:
    """`11.weight` is no `1.weight`, and `0.weight` of another shape is not this model's."""
    features = outline("vgg11").get_submodule("features").state_dict()
    resnet = outline("resnet18")
    fits = state_dicts.find_fits(features, resnet)
    sentence = why_unfit("resnet18", resnet, features, fits)
    assert "none of its 120 tensors is in the file. It holds 16 tensors" in sentence


FILES: dict[str, tuple[Any, tuple[str, ...], str]] = {
    "json": (b'{"message":"Not Found"}', ('\'{"message":"Not Found"}\'',), "web page"),
    "error": (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>',
        ("error message of a server in XML (AccessDenied)",),
        "web page",
    ),
    "xml": (b'<?xml version="1.0"?><Feed/>', ("text that begins with '<?xml",), "web page"),
    "page": (b'<?xml version="1.0"?><!DOCTYPE HTML><HTML></HTML>', ("a web page",), "XML"),
}


@pytest.mark.parametrize("kind", FILES)
def test_text_is_called_what_it_is(kind: str, tmp_path: Path) -> None:
    content, said, unsaid = FILES[kind]
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(Problem) as caught:
        weights_file.read_file(tmp_path / "w.pth")
    sentence = str(caught.value)
    assert all(part in sentence for part in said) and unsaid not in sentence


def test_the_hint_for_numpy_arrays_gives_a_state_dict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arrays = {"conv.weight": np.ones((2, 3), np.float32), "steps": np.array(3)}
    np.savez("w.npz", **arrays)
    with pytest.raises(Problem, match=r"NumPy arrays \(conv.weight, steps\)") as caught:
        weights_file.read_file(Path("w.npz"))
    exec(str(caught.value).split("`")[1], {"torch": torch, "numpy": np})
    read = weights_file.read_file(Path("weights.pth"))
    assert isinstance(read, dict) and torch.equal(read["conv.weight"], torch.ones(2, 3))
