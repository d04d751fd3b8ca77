"""Weights are found in files as people have them; other files are refused with what they are."""

from __future__ import annotations

import argparse
import gzip
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.model import state_dicts
from engine.model.architectures import outline
from engine.model.weights import Weights, choose_weights
from tl_tui.common.errors import Problem

ARCH = "shufflenet_v2_x0_5"
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    torch.manual_seed(7)
    return torchvision.models.get_model(ARCH).state_dict()


@pytest.fixture(scope="module")
def resnet() -> State:
    torch.manual_seed(7)
    return torchvision.models.resnet18().state_dict()


def chosen(path: Path, arch: str = ARCH) -> Weights:
    return choose_weights(arch, str(path), embedded_demo=False)


def refusal(path: Path, arch: str = ARCH) -> str:
    """Return the sentence with which a file is refused, which names the file and is one line."""
    with pytest.raises(Problem) as caught:
        chosen(path, arch)
    sentence = str(caught.value)
    assert str(path) in sentence and "\n" not in sentence
    return sentence


def loaded(path: Path, state: State, arch: str = ARCH) -> str:
    """Assert that a file gives a state's body, and return the note about it."""
    weights = chosen(path, arch)
    assert weights.state is not None
    for name, tensor in state.items():
        if not name.startswith("fc."):
            assert torch.equal(weights.state[name], tensor), name
    return weights.note


def with_prefix(state: State, prefix: str) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def other(state: State) -> State:
    return {name: tensor + 1 for name, tensor in state.items()}


FORMS: dict[str, tuple[Callable[[State], Any], str]] = {
    "compiled": (lambda s: with_prefix(s, "_orig_mod."), "prefix '_orig_mod.'"),
    "compiled and parallel": (lambda s: with_prefix(s, "module._orig_mod."), "prefix 'module.'"),
    "each layer compiled": (
        lambda s: {name.replace("stage2.", "stage2._orig_mod."): t for name, t in s.items()},
        "",
    ),
    "lightning": (
        lambda s: {"state_dict": with_prefix(s, "model."), "epoch": 3},
        "under state_dict",
    ),
    "sequential": (lambda s: with_prefix(s, "0.") | {"1.weight": torch.ones(3)}, "prefix '0.'"),
    "without a dot": (lambda s: with_prefix(s, "backbone_"), "prefix 'backbone_'"),
    "tutorial": (
        lambda s: {"epoch": 3, "model_state_dict": s, "optimizer_state_dict": {}, "loss": 0.3},
        "under model_state_dict",
    ),
    "nested": (lambda s: {"checkpoint": {"net": with_prefix(s, "module.")}}, "checkpoint.net"),
    "moco": (
        lambda s: {
            "state_dict": with_prefix(other(s), "module.encoder_k.")
            | with_prefix(s, "module.encoder_q.")
            | {"module.queue": torch.zeros(4, 4), "module.encoder_q.fc.0.weight": torch.ones(2)}
        },
        "encoder_k.' would fit as well",
    ),
    "dino": (
        lambda s: {
            "student": with_prefix(other(s), "module.backbone."),
            "teacher": with_prefix(s, "backbone.") | {"head.mlp.0.weight": torch.ones(3, 3)},
            "args": argparse.Namespace(arch="resnet50", out=PurePosixPath("x")),
            "best": np.float64(0.3),
        },
        "under teacher",
    ),
    "timm": (lambda s: {"state_dict": s, "state_dict_ema": other(s)}, "state_dict_ema would fit"),
    "ema before": (lambda s: {"model_ema": other(s), "model": s}, "under model;"),
    "only ema": (lambda s: {"ema": {"module": s, "decay": 0.99}}, "under ema.module"),
    "averaged": (
        lambda s: with_prefix(s, "module.") | {"n_averaged": torch.tensor(3)},
        "n_averaged",
    ),
    "profiled": (
        lambda s: s | {"stage2.0.total_ops": torch.zeros(1)},
        "not used: stage2.0.total_ops (1 tensor)",
    ),
    "projection": (lambda s: s | {"projector.0.weight": torch.ones(2, 2)}, "not used: projector"),
    "a list": (lambda s: [s, {"lr": 0.1}], "under 0"),
    "parameters": (lambda s: {n: nn.Parameter(t, requires_grad=False) for n, t in s.items()}, ""),
}


@pytest.mark.parametrize("form", FORMS)
def test_weights_are_found_in_what_surrounds_them(form: str, state: State, tmp_path: Path) -> None:
    make, said = FORMS[form]
    torch.save(make(state), tmp_path / "w.pth")
    note = loaded(tmp_path / "w.pth", state)
    assert said in note if said else not note


prefixes = st.lists(st.sampled_from("module model backbone encoder net 0 x".split()), max_size=4)
keys = st.lists(st.sampled_from("state_dict model ema weights best foo".split()), max_size=3)


@given(prefix=prefixes, path=keys, beside=st.booleans())
@settings(max_examples=12, deadline=None)
def test_any_prefix_in_any_container_is_found(
    prefix: list[str], path: list[str], beside: bool
) -> None:
    model = outline(ARCH)
    state = {name: torch.zeros(t.shape) for name, t in model.state_dict().items()}
    content: Any = with_prefix(state, "".join(f"{part}." for part in prefix))
    if beside:
        content |= {"zz.head.weight": torch.zeros(3)}
    for key in path:
        content = {key: content, "step": 3}
    (fit,) = state_dicts.find_fits(content, model)
    assert fit.complete and fit.container.path == tuple(reversed(path))
    assert all(fit.found[name] is state[name] for name in fit.found)


def test_a_resnet_by_other_names(resnet: State, tmp_path: Path) -> None:
    """The children in a Sequential, and the names of Hugging Face transformers."""
    names = [name for name, _ in torchvision.models.resnet18().named_children()]
    numbered = {
        f"f.{names.index(name.split('.')[0])}.{name.partition('.')[2]}": tensor
        for name, tensor in resnet.items()
        if not name.startswith("fc.")
    }
    torch.save(numbered, tmp_path / "numbered.pth")
    assert "nn.Sequential" in loaded(tmp_path / "numbered.pth", resnet, "resnet18")

    def renamed(name: str) -> str:
        first, *rest = name.split(".")
        if first == "fc":
            return f"classifier.1.{rest[0]}"
        kinds = {"conv": "convolution", "bn": "normalization"}
        if not first.startswith("layer"):
            return f"resnet.embedder.embedder.{kinds[first[:-1]]}.{rest[0]}"
        block = f"resnet.encoder.stages.{int(first[-1]) - 1}.layers.{rest[0]}"
        if rest[1] == "downsample":
            kind = "convolution" if rest[2] == "0" else "normalization"
            return f"{block}.shortcut.{kind}.{rest[3]}"
        return f"{block}.layer.{int(rest[1][-1]) - 1}.{kinds[rest[1][:-1]]}.{rest[2]}"

    folder = tmp_path / "resnet-18"
    folder.mkdir()
    save_file(
        {renamed(name): tensor for name, tensor in resnet.items()}, folder / "model.safetensors"
    )
    (folder / "config.json").write_text("{}")
    assert "transformers" in loaded(folder, resnet, "resnet18")


def test_the_names_of_old_densenets() -> None:
    """torchvision's own files of 2017 have them."""
    model = outline("densenet121")
    state = {name: torch.zeros(tensor.shape) for name, tensor in model.state_dict().items()}
    old = {}
    for name, tensor in state.items():
        for part in ("norm", "conv"):
            for number in "12":
                if "denselayer" in name:
                    name = name.replace(f".{part}{number}.", f".{part}.{number}.")
        old[name] = tensor
    assert old.keys() != state.keys()
    (fit,) = state_dicts.find_fits(old, model)
    assert fit.complete and all(fit.found[name] is state[name] for name in fit.found)


def test_a_folder_gives_its_weights_file(state: State, tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    deep = folder / "snapshots" / "0123"
    deep.mkdir(parents=True)
    torch.save(state, deep / "pytorch_model.bin")
    (folder / "README.md").write_text("a model")
    assert chosen(folder).label == "file repository/snapshots/0123/pytorch_model.bin"
    loaded(folder, state)
    half = len(state) // 2
    parts = [dict(list(state.items())[:half]), dict(list(state.items())[half:])]
    index = {}
    for number, part in enumerate(parts):
        name = f"model-{number}.safetensors"
        save_file(part, folder / name)
        index |= dict.fromkeys(part, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    loaded(folder, state)
    (folder / "model-1.safetensors").unlink()
    with pytest.raises(Problem, match=r"model-1\.safetensors, which it names, is missing"):
        chosen(folder)
    (folder / "model.safetensors.index.json").unlink()
    shutil.copy(deep / "pytorch_model.bin", folder / "b.pth")
    shutil.move(deep / "pytorch_model.bin", folder / "a.pth")
    assert "several weights files (a.pth, b.pth, model-0.safetensors)" in refusal(folder)
    (tmp_path / "empty").mkdir()
    assert "no weights file" in refusal(tmp_path / "empty")


def test_the_content_decides_and_not_the_ending(state: State, tmp_path: Path) -> None:
    save_file(state, tmp_path / "w.pth")
    torch.save(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pt", _use_new_zipfile_serialization=False)
    for name in ("w.pth", "w.safetensors", "w.pt"):
        assert not loaded(tmp_path / name, state)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.file, "it ran"))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_needs_code_is_refused_with_how_to_save_a_state_dict(
    legacy: bool, state: State, tmp_path: Path
) -> None:
    form = {"_use_new_zipfile_serialization": not legacy}
    torch.save(torchvision.models.get_model(ARCH), tmp_path / "whole.pth", **form)
    torch.save({"w": Trap(tmp_path / "ran"), "state_dict": state}, tmp_path / "trap.pth", **form)
    for name, what in (("whole.pth", "torch.nn.modules"), ("trap.pth", "builtins.getattr")):
        sentence = refusal(tmp_path / name)
        assert "more than tensors and loading it would run code" in sentence and what in sentence
        assert "torch.save(model.state_dict(), 'weights.pth')" in sentence
    assert not (tmp_path / "ran").exists()


def test_other_files_are_refused_with_what_they_are(state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "whole.pth")
    save_file(state, tmp_path / "whole.safetensors")
    whole, tensors = (
        (tmp_path / "whole.pth").read_bytes(),
        (tmp_path / "whole.safetensors").read_bytes(),
    )
    legacy = tmp_path / "legacy.pth"
    torch.save(state, legacy, _use_new_zipfile_serialization=False)
    broken = bytearray(whole)
    broken[60:90] = bytes(30)
    with zipfile.ZipFile(tmp_path / "zip.pth", "w") as archive:
        archive.writestr("weights/resnet.pth", b"0")
    module = torch.jit.script(nn.Linear(2, 2))
    module.save(str(tmp_path / "script.pt"))
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 46830571\n"
    files: dict[str, tuple[bytes | None, str]] = {
        "cut.pth": (whole[:100_000], "cut short"),
        "cut.safetensors": (tensors[:100_000], "cut short (it has 100,000 of at least"),
        "cut.bin": (legacy.read_bytes()[:3_000], "cut short or damaged"),
        "broken.pth": (bytes(broken), "damaged"),
        "broken.safetensors": (tensors[:20] + b"\xff" * 20 + tensors[40:], "damaged"),
        "empty.pth": (b"", "is empty"),
        "pointer.pth": (pointer, "Git LFS pointer"),
        "page.pth": (b"\n<!DOCTYPE html><html>Sign in</html>", "web page"),
        "text.pth": (b"not weights at all", "text that begins with 'not weights"),
        "packed.pth": (gzip.compress(whole[:5000]), "gzip"),
        "keras.pth": (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5"),
        "noise.pth": (bytes(range(200, 256)) * 3, "begins with the bytes c8 c9"),
        "dump.pth": (pickle.dumps({"a": 1}), "plain Python pickle"),
        "zip.pth": (None, "torch.save did not write; it holds weights/resnet.pth"),
        "script.pt": (None, "TorchScript"),
    }
    for name, (content, said) in files.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        assert said in refusal(tmp_path / name), name


def test_files_without_these_weights_are_refused_with_what_is_in_them(
    state: State, tmp_path: Path
) -> None:
    contents: dict[str, tuple[Any, str]] = {
        "number": ({"a": 1, "b": {"c": 2}}, "the keys a, b, and no tensors"),
        "tensor": (torch.zeros(2, 3), "one tensor of the shape (2, 3)"),
        "other": (
            {"model": {"patch_embed.proj.weight": torch.zeros(2), "norm.bias": torch.zeros(2)}},
            "under model there are 2 tensors (patch_embed.proj.weight, norm.bias)",
        ),
        "narrow": ({n: t[:1] for n, t in state.items() if t.ndim}, "has the shape (1, 3, 3, 3)"),
        "sparse": (state | {"conv5.0.weight": state["conv5.0.weight"].to_sparse()}, "to_dense()"),
        "deeper": (state | {"stage2.9.branch2.0.weight": torch.zeros(3, 3)}, "has no stage2.9"),
        "cut": ({n: t for n, t in state.items() if "stage4" not in n}, "is missing"),
    }
    for name, (content, said) in contents.items():
        torch.save(content, tmp_path / name)
        sentence = refusal(tmp_path / name)
        assert said in sentence, sentence
    torch.save(torchvision.models.resnet34().state_dict(), tmp_path / "deeper.pth")
    assert refusal(tmp_path / "deeper.pth", "resnet18").endswith("pass --arch resnet34.")


def test_weights_that_are_not_finite_are_refused_by_name(state: State, tmp_path: Path) -> None:
    broken = {name: tensor.clone() for name, tensor in state.items()}
    broken["stage3.1.branch2.0.weight"][0, 0] = float("nan")
    broken["stage4.0.branch2.1.running_var"][:2] = float("inf")
    broken["fc.weight"][0, 0] = float("nan")  # the head is replaced anyway
    torch.save({"state_dict": with_prefix(broken, "module.")}, tmp_path / "w.pth")
    sentence = refusal(tmp_path / "w.pth")
    assert "stage3.1.branch2.0.weight has 1 of" in sentence
    assert "and so have stage4.0.branch2.1.running_var" in sentence
