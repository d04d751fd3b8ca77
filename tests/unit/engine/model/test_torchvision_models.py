"""Models are built from pretrained weights with a new head, from weights files of any form."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors import safe_open
from safetensors.torch import save_file

import demo_data
from engine.model import torchvision_models, weights_download
from engine.model.architectures import COUNTERS
from engine.model.batchnorm_calibration import calibrate
from engine.model.weights import Weights, WeightsMissing, choose_weights
from tl_tui.common.errors import Problem
from tools.demo_backbone import distil, export


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    return torchvision.models.resnet18().state_dict()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty weights cache; there is no internet."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(weights_download.urllib.request, "urlopen", unreachable)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use untrained weights in the format of the demo backbone in place of it."""
    torch.save({"student": distil.Student().state_dict(), "done": 0}, tmp_path / "checkpoint.pt")
    file = tmp_path / "demo.safetensors"
    export.export(tmp_path / "checkpoint.pt", file, image_size=96)
    monkeypatch.setattr(demo_data, "weights_file", lambda: file)
    return file


@pytest.fixture
def not_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the demo backbone."""
    monkeypatch.setattr(demo_data, "weights_file", lambda: tmp_path / "gone.safetensors")


def chosen(requested: str, *, demo: bool = False, arch: str = "resnet18") -> Weights:
    return choose_weights(arch, requested, embedded_demo=demo)


def built(weights: Weights, seed: int = 0) -> torchvision_models.BuiltModel:
    return torchvision_models.build("resnet18", weights, num_classes=2, image_size=None, seed=seed)


def test_pretrained_weights_are_loaded_and_only_the_head_is_new(
    state: dict, tmp_path: Path
) -> None:
    torch.save(state, tmp_path / "w.pth")
    result = built(chosen(str(tmp_path / "w.pth")))
    assert result.head is result.model.fc and result.head_name == "fc"
    assert (result.head.in_features, result.head.out_features) == (512, 2)
    assert all(parameter.requires_grad for parameter in result.head.parameters())
    for name, tensor in result.model.state_dict().items():
        if not name.startswith("fc."):
            assert torch.equal(tensor, state[name]), name


def test_the_head_depends_only_on_the_seed(state: dict, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "w.pth")
    pretrained, random = built(chosen(str(tmp_path / "w.pth"))), built(chosen("none"))
    assert torch.equal(pretrained.head.weight, random.head.weight)
    assert not torch.equal(built(chosen("none"), seed=1).head.weight, random.head.weight)
    torch.manual_seed(0)
    assert torch.equal(torch.nn.Linear(512, 2).weight, random.head.weight)


@pytest.mark.parametrize("form", ["half", "safetensors", "wrapped", "parallel", "no head"])
def test_weights_files_in_common_forms_can_be_loaded(
    form: str, state: dict, tmp_path: Path
) -> None:
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        save_file(state, path)
    else:
        shaped = {
            "half": {k: v.half() if v.is_floating_point() else v for k, v in state.items()},
            "wrapped": {"state_dict": state, "epoch": 3},
            "parallel": {f"module.{k}": v for k, v in state.items()},
            "no head": {k: v for k, v in state.items() if not k.startswith("fc.")},
        }[form]
        torch.save(shaped, path)
    model = built(chosen(str(path))).model
    weight = model.layer3[0].conv1.weight  # type: ignore[union-attr, index]
    assert weight.dtype == torch.float32
    torch.testing.assert_close(weight, state["layer3.0.conv1.weight"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "arch",
    ["resnet18", "regnet_y_400mf", "mobilenet_v3_small", "googlenet"]
    + [pytest.param("densenet121", marks=pytest.mark.thorough)],
)
@pytest.mark.parametrize("lacking", ["nothing", "counters", "a layer"])
def test_a_model_equals_its_weights_file_bit_for_bit(
    arch: str, lacking: str, tmp_path: Path
) -> None:
    options = {"init_weights": True} if arch == "googlenet" else {}
    torch.manual_seed(7)
    reference = torchvision.models.get_model(arch, weights=None, **options)
    state = {n: t for n, t in reference.state_dict().items() if not n.startswith("aux")}
    if lacking == "counters":
        state = {n: t for n, t in state.items() if not n.endswith(COUNTERS)}
    given = dict(state)
    if lacking == "a layer":
        del given[next(iter(given))]
    torch.save(given, tmp_path / "w.pth")
    if lacking == "a layer":
        with pytest.raises(Problem, match="is missing"):
            chosen(str(tmp_path / "w.pth"), arch=arch)
        weights = dataclasses.replace(chosen("none", arch=arch), state=given)
    else:
        weights = chosen(str(tmp_path / "w.pth"), arch=arch)
    made = torchvision_models.build(arch, weights, num_classes=3, image_size=None, seed=0)
    own = {n: t for n, t in made.model.state_dict().items() if not n.startswith(made.head_name)}
    assert all(torch.equal(own[name], given[name]) for name in own if name in given)
    rest = [own[name] for name in own if name not in given]
    assert all(torch.isfinite(tensor).all() for tensor in rest)
    if lacking == "a layer":  # it is initialised, not left with the content of the memory
        again = torchvision_models.build(arch, weights, num_classes=3, image_size=None, seed=0)
        assert all(torch.equal(t, again.model.state_dict()[n]) for n, t in own.items())
        assert any(tensor.float().std() > 0 for tensor in rest)


def test_files_without_weights_are_refused_in_one_line(state: dict, tmp_path: Path) -> None:
    whole = tmp_path / "whole.pth"
    torch.save(state, whole)
    truncated = tmp_path / "truncated.pth"
    truncated.write_bytes(whole.read_bytes()[:100_000])
    text = tmp_path / "text.pth"
    text.write_text("these are not weights")
    cut = tmp_path / "cut.safetensors"
    save_file(state, cut)
    cut.write_bytes(cut.read_bytes()[:100_000])
    number = tmp_path / "number.pth"
    torch.save({"a": 1}, number)
    other = tmp_path / "other.pth"
    torch.save(torchvision.models.resnet34().state_dict() | {"layer1.0.conv1.weight": 0}, other)
    for path in (truncated, text, cut, number, other):
        with pytest.raises(Problem) as caught:
            chosen(str(path))
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mobile.pth"
    torch.save(torchvision.models.mobilenet_v3_small().state_dict(), path)
    with pytest.raises(Problem, match="not the weights of resnet18"):
        chosen(str(path))


def test_the_weights_of_a_deeper_network_are_refused(tmp_path: Path) -> None:
    """A resnet34 contains every name and shape of a resnet18."""
    path = tmp_path / "deeper.pth"
    torch.save(torchvision.models.resnet34().state_dict(), path)
    with pytest.raises(Problem, match="resnet18 has no layer1.2"):
        chosen(str(path))


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):  # type: ignore[no-untyped-def]
            return (Path.write_text, (tmp_path / "ran", "it ran"))

    torch.save({"w": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(Problem):
        chosen(str(tmp_path / "trap.pth"))
    assert not (tmp_path / "ran").exists()


def test_without_internet_the_demo_falls_back_and_gives_the_reason(
    hub: Path, shipped: Path
) -> None:
    weights = chosen("auto", demo=True)
    assert weights.pretrained and weights.label == "demo backbone"
    assert "resnet18-f37072fd.pth" in weights.why
    weights = chosen("auto", demo=True, arch="resnet34")
    assert not weights.pretrained and weights.label == "random"
    assert "resnet34-b627a593.pth" in weights.why


@pytest.mark.parametrize("requested", ["auto", "default", "IMAGENET1K_V1"])
def test_without_internet_training_on_own_data_needs_a_choice_of_weights(
    requested: str, hub: Path, shipped: Path
) -> None:
    with pytest.raises(WeightsMissing) as caught:
        chosen(requested)
    assert "resnet18-f37072fd.pth" in str(caught.value) and str(hub) in str(caught.value)
    assert caught.value.choices == ("demo", "none")
    with pytest.raises(WeightsMissing) as caught:
        chosen(requested, arch="resnet50")
    assert caught.value.choices == ("none",) and "demo" not in str(caught.value)


def test_the_demo_backbone_is_copied_into_the_model(shipped: Path) -> None:
    weights = chosen("demo")
    assert weights.pretrained and weights.label == "demo backbone" and not weights.why
    model = built(weights).model
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert weights.state is not None
    for name, tensor in model.state_dict().items():
        if not name.startswith("fc."):
            assert torch.equal(tensor, weights.state[name].to(tensor.dtype)), name
    assert torch.equal(model.fc.weight, built(chosen("none")).head.weight)


def test_the_demo_backbone_has_its_own_image_size_and_normalisation(shipped: Path) -> None:
    with safe_open(shipped, framework="pt") as file:
        facts = file.metadata()
    make, size = torchvision_models.transform_for(chosen("demo"), None)
    assert size == int(facts["image_size"]) and make().crop_size == [size]
    assert list(make().mean) == json.loads(facts["mean"])
    assert facts["arch"] == "resnet18" and facts["licence"] == "Apache-2.0"
    assert size == 96 and torchvision_models.transform_for(chosen("demo"), 64)[1] == 64


def test_the_demo_backbone_is_refused_for_other_architectures() -> None:
    with pytest.raises(Problem, match="is a resnet18 and cannot be used for resnet50"):
        chosen("demo", arch="resnet50")


def test_an_installation_without_shipped_weights_offers_random_ones(
    hub: Path, not_shipped: None
) -> None:
    with pytest.raises(Problem, match="has no demo weights"):
        chosen("demo")
    weights = chosen("auto", demo=True)
    assert weights.label == "random" and "resnet18-f37072fd.pth" in weights.why
    with pytest.raises(WeightsMissing) as caught:
        chosen("auto")
    assert caught.value.choices == ("none",) and "demo" not in str(caught.value)


def test_cached_weights_are_used_if_their_hash_is_correct(
    hub: Path, state: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = hub / "resnet18-f37072fd.pth"
    torch.save(state, file)
    with pytest.raises(Problem, match="damaged"):
        chosen("default")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    original = weights_download.weights_file_of
    monkeypatch.setattr(
        weights_download,
        "weights_file_of",
        lambda entry: weights_download.WeightsFile(original(entry).name, "", digest[:8]),
    )
    weights = chosen("default")
    assert weights.pretrained and weights.label == "ImageNet V1"


def test_the_transform_belongs_to_the_weights() -> None:
    v1 = torchvision.models.ResNet50_Weights.IMAGENET1K_V1
    weights = Weights("ImageNet V1", "", v1, {})
    make, size = torchvision_models.transform_for(weights, None)
    assert size == 224 and make().resize_size == [256]
    make, size = torchvision_models.transform_for(weights, 64)
    assert (make().crop_size, make().resize_size) == ([64], [73])
    assert make().mean == v1.transforms().mean


def test_calibration_keeps_activations_of_random_weights_small() -> None:
    torch.manual_seed(0)
    model = torchvision.models.resnet50(num_classes=2)
    images = torch.randn(16, 3, 64, 64)
    state = {name: p.clone() for name, p in model.named_parameters()}
    model.eval()
    with torch.no_grad():
        uncalibrated = model(images).abs().max()
    assert calibrate(model, [images[:8], images[8:]]) == 16
    assert not any(module.training for module in model.modules())
    assert all(torch.equal(state[name], p) for name, p in model.named_parameters())
    assert all(m.momentum == 0.1 for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d))
    with torch.no_grad():
        assert model(images).abs().max() < 4 < uncalibrated


@pytest.mark.parametrize(
    ("driver", "built", "phrases"),
    [
        ("535.104.05", "13.0", ["535.104.05", "driver 580", "cu126"]),
        ("580.65", None, ["without CUDA"]),
        ("580.65", "13.0", ["CUDA_VISIBLE_DEVICES", "V100"]),
    ],
)
def test_a_warning_explains_why_torch_cannot_use_a_gpu(
    driver: str, built: str | None, phrases: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.hardware import devices

    monkeypatch.setattr(devices, "nvidia_driver", lambda: driver)
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    chosen_device = devices.choose_device("auto")
    assert chosen_device.device.type == "cpu"
    for phrase in [*phrases, "--device cpu"]:
        assert phrase in chosen_device.warning
    with pytest.raises(Problem):
        devices.choose_device("cuda")
