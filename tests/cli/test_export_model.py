"""`tl-tui export --model`: files that need no tl-tui, and say the same."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from engine.export.model import onnx
from tests.support.command_line import refused, run
from tests.support.readme_programs import readme_programs
from tests.support.trained_runs import plain_input, plain_model, run_job, train_run
from tl_tui.protocol.commands import ExportModel
from tl_tui.protocol.inference import ModelExported, ModelFileChecked
from tui.cli.commands.export_model import exported_lines

pytestmark = pytest.mark.xdist_group("export_model")  # its model is exported once

ONNX = not onnx.missing()
needs_onnx = pytest.mark.skipif(not ONNX, reason=onnx.missing() or "all is there")


@pytest.fixture(scope="module")
def a_run(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    """A ResNet-18, which is written as ONNX in half the time of a network of many small layers."""
    return train_run(images, tmp_path_factory.mktemp("runs") / "squares", arch="resnet18")


@pytest.fixture(scope="module")
def exported(a_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    checked, ended = told_of(a_run, folder)
    assert [file.name for file in checked][:2] == ["model.safetensors", "model.pth"]
    assert [file.name for file in checked[2:]] == ["model.onnx"] * ONNX
    for file in checked:
        assert file.compared_on == "12 validation images of squares"
        assert file.bytes == (folder / file.name).stat().st_size
        assert file.max_difference <= 1e-4 * max(1, file.max_output)
    assert checked[0].max_difference == checked[1].max_difference == 0
    assert sorted(path.name for path in folder.iterdir()) == list(ended.files)
    assert list(folder.parent.iterdir()) == [folder]  # nothing half written beside it
    return folder


def told_of(
    a_run: Path, folder: Path, **fields: Any
) -> tuple[list[ModelFileChecked], ModelExported]:
    told, failure = run_job(ExportModel, run=str(a_run), folder=str(folder), **fields)
    assert not failure
    *checked, ended = told
    assert isinstance(ended, ModelExported)
    return [event for event in checked if isinstance(event, ModelFileChecked)], ended


def test_temperature_is_written_and_not_applied(
    images: Path, exported: Path, tmp_path: Path
) -> None:
    """It is the one with the lowest loss on the validation images; every file has it."""
    data = tmp_path / "squares"
    shutil.copytree(images, data)
    for number in range(2):  # without wrong labels, the best temperature is 0
        dark, light = (data / "val" / name / f"{number:03}.png" for name in ("dark", "light"))
        dark.rename(tmp_path / "dark.png")
        light.rename(dark)
        (tmp_path / "dark.png").rename(light)
    a_run = train_run(data, tmp_path / "run", steps=4, arch="resnet18", weights="demo")
    model, about = plain_model(a_run)
    paths = sorted((data / "val").rglob("*.png"))
    labels = torch.tensor([about["classes"].index(path.parent.name) for path in paths])
    with torch.no_grad():
        outputs = model(torch.stack([plain_input(path, about["transform"]) for path in paths]))

    def loss(temperature: float) -> float:
        return float(torch.nn.functional.cross_entropy(outputs / temperature, labels))

    folder = tmp_path / "model"
    fields: dict[str, Any] = {"formats": ("safetensors",), "temperature": True}
    checked, ended = told_of(a_run, folder, **fields)
    assert checked[0].max_difference == 0, "the outputs are those of the run's model"
    info = json.loads((folder / "model.json").read_text())
    fitted = info["temperature"]
    assert ended.temperature is not None and ended.temperature.value == fitted["value"]
    assert fitted["images"] == 12 and fitted["nll_before"] == pytest.approx(loss(1.0), abs=1e-4)
    value = fitted["value"]
    assert loss(value) < min(loss(value * 1.05), loss(value / 1.05))
    readme = (folder / "README.txt").read_text()
    helps = fitted["nll_after"] < fitted["nll_before"]
    assert f"(logits / {value:.4f}).softmax(1)" in readme and ("did not fall" in readme) != helps
    (line,) = [line for line in exported_lines(ended) if line.startswith("Temperature ")]
    assert ("the NLL does not fall" in line) != helps
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["temperature"])["value"] == value

    assert "emperature" not in (exported / "README.txt").read_text(), "only if asked for"
    assert "temperature" not in json.loads((exported / "model.json").read_text())


def failure_of(a_run: Path, folder: Path, **fields: Any) -> str:
    told, failure = run_job(ExportModel, run=str(a_run), folder=str(folder), **fields)
    assert not any(isinstance(event, ModelExported) for event in told)
    return failure


def in_plain_python(program: str, folder: Path) -> Any:
    """What a program prints as JSON, in a fresh interpreter that cannot find tl-tui."""
    ended = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {paths()!r}\n{program}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def paths() -> list[str]:
    """Where installed packages and Python itself are; not the checkout."""
    root = str(Path(__file__).resolve().parents[2])
    return [path for path in sys.path if path and path != root]


def test_the_code_in_the_readme_gives_the_models_outputs(
    exported: Path, a_run: Path, images: Path
) -> None:
    """Each way to load it, and the preprocessing, as a stranger would type them."""
    model, about = plain_model(a_run)
    image = images / "val" / "light" / "003.png"
    with torch.no_grad():
        expected = model(plain_input(image, about["transform"])[None])[0]
    programs = readme_programs(exported)
    whole = ["said = {}", programs["Preprocessing"].replace('"a.jpg"', repr(str(image)))]
    for name in ("model.safetensors", "model.pth"):
        assert len(programs[name].splitlines()) <= 8
        whole += [programs[name], f"said['{name}'] = model(image[None])[0].tolist()"]
    if ONNX:
        whole += ["images = image[None].numpy()", programs["model.onnx"]]
        whole.append("said['model.onnx'] = logits[0].tolist()")
    said = in_plain_python("\n".join([*whole, "print(json.dumps(said))"]), exported)
    assert len(said) == 2 + ONNX
    for outputs in said.values():
        torch.testing.assert_close(torch.tensor(outputs), expected, rtol=1e-4, atol=1e-3)


def test_classes_and_preprocessing_are_stored_with_the_weights(exported: Path, a_run: Path) -> None:
    _, saved = plain_model(a_run)
    about = json.loads((exported / "model.json").read_text())
    assert (about["arch"], about["classes"]) == ("resnet18", ["dark", "light"])
    assert about["image_size"] == 32 and about["input"]["shape"] == ["batch", 3, 32, 32]
    assert {key: about["preprocessing"][key] for key in saved["transform"]} == saved["transform"]
    with safe_open(exported / "model.safetensors", framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert json.loads(metadata["classes"]) == about["classes"]
    assert json.loads(metadata["preprocessing"]) == about["preprocessing"]
    kinds = {value.dtype for value in tensors.values() if value.is_floating_point()}
    assert kinds == {torch.float32}
    assert all(value.is_contiguous() for value in tensors.values())
    plain = torch.load(exported / "model.pth", weights_only=True)
    assert {name: value.shape for name, value in plain.items()} == {
        name: value.shape for name, value in tensors.items()
    }


@needs_onnx
def test_onnx_takes_any_batch_and_describes_itself(exported: Path, a_run: Path) -> None:
    import onnxruntime

    model, _ = plain_model(a_run)
    session = onnxruntime.InferenceSession(exported / "model.onnx")
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == ["dark", "light"]
    assert json.loads(about["preprocessing"])["crop_size"] == 32
    for count in (1, 3, 8):
        images = np.random.default_rng(count).normal(size=(count, 3, 32, 32)).astype(np.float32)
        (said,) = session.run(["logits"], {"images": images})
        with torch.no_grad():
            expected = model(torch.from_numpy(images))
        torch.testing.assert_close(torch.from_numpy(said), expected, rtol=1e-4, atol=1e-3)


def test_a_folder_with_files_is_refused_unless_forced(a_run: Path, tmp_path: Path) -> None:
    """Refused; with force what is of a model is replaced and all else stays."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.onnx").write_text("of another model")
    (folder / "notes.txt").write_text("mine")
    assert "holds files already" in failure_of(a_run, folder)
    _, ended = told_of(a_run, folder, formats=("pth",), force=True)
    assert ended.files == ("README.txt", "model.json", "model.pth")
    assert sorted(path.name for path in folder.iterdir()) == [
        *ended.files[:2],
        "model.pth",
        "notes.txt",
    ]
    about = json.loads((folder / "model.json").read_text())
    assert list(about["files"]) == ["model.pth"]
    assert "safetensors" not in (folder / "README.txt").read_text().replace("and safetensors", "")
    (tmp_path / "file").touch()
    assert "is a file" in failure_of(a_run, tmp_path / "file")
    assert "cannot be written" in failure_of(a_run, tmp_path / "file" / "model")


def test_without_the_images_of_the_run_outputs_are_compared_on_noise(
    tmp_path: Path, images: Path
) -> None:
    """And says so."""
    shutil.copytree(images, tmp_path / "squares")
    a_run = train_run(tmp_path / "squares", tmp_path / "run", steps=1, arch="mobilenet_v3_small")
    (broken,) = list((tmp_path / "squares" / "val" / "dark").glob("000.png"))
    broken.write_bytes(b"no image")
    checked, _ = told_of(a_run, tmp_path / "a", formats=("safetensors",), checkpoint="last")
    assert checked[0].compared_on == "11 validation images of squares"
    shutil.rmtree(tmp_path / "squares")
    checked, _ = told_of(a_run, tmp_path / "b", formats=("safetensors",), checkpoint="last")
    assert checked[0].compared_on == (
        "16 images of seeded noise, because the images of the run were not found"
    )


def test_partial_files_of_a_killed_engine_are_removed(a_run: Path, tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
    ended.wait()
    left, running = (tmp_path / f".model.{pid}.part" for pid in (ended.pid, os.getppid()))
    left.mkdir()
    running.mkdir()
    told_of(a_run, tmp_path / "model", formats=("pth",))
    assert sorted(tmp_path.iterdir()) == [running, tmp_path / "model"]


def test_a_full_disk_keeps_the_previous_files(a_run: Path, tmp_path: Path) -> None:
    """The folder that was there stays whole."""
    folder = tmp_path / "model"
    told_of(a_run, folder, formats=("pth",))
    before = (folder / "model.pth").read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limit[1]))
    try:
        for name in ("pth", "safetensors"):
            told = failure_of(a_run, folder, formats=(name,), force=True)
            assert "cannot be written" in told and "choose another folder" in told
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (folder / "model.pth").read_bytes() == before
    assert list(tmp_path.iterdir()) == [folder]


def test_a_file_with_other_outputs_is_not_exported(
    a_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = torch.load
    monkeypatch.setattr(torch, "load", lambda file, **options: _spoilt(true(file, **options)))
    told = failure_of(a_run, tmp_path / "model", formats=("pth",))
    assert "of model.pth differ from those of the run's model by up to 1 (on 12" in told
    assert list(tmp_path.iterdir()) == []


def _spoilt(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return state | {"fc.bias": state["fc.bias"] + 1}


def test_without_the_onnx_extra_the_file_is_left_out_or_refused(
    a_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx, "PACKAGES", ("onnx_that_is_not_there",))
    told = failure_of(a_run, tmp_path / "a", formats=("onnx",))
    assert told.startswith("--format onnx: ") and "pip install 'tl-tui[onnx]'" in told
    _, ended = told_of(a_run, tmp_path / "b")
    assert "model.onnx" not in ended.files and "model.onnx is left out" in ended.notes[0]


# --- the command --------------------------------------------------------------------------------


def test_export_prints_each_file_and_refuses_bad_options(
    a_run: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    common = ["export", a_run, "--model", tmp_path / "model"]
    ended = run(*common, "--format", "safetensors,pth", env=environment)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert re.search(
        r"^model\.safetensors, \d+\.\d MB: loaded again, it gives the same outputs on 12", lines[0]
    )
    assert lines[-1].endswith(f": {tmp_path / 'model'}")
    assert "holds files already" in refused(run(*common, env=environment))
    assert "choose from safetensors" in refused(run(*common, "--format", "gguf", env=environment))


def test_a_wide_image_is_preprocessed_as_in_the_engine(exported: Path, tmp_path: Path) -> None:
    """The README's preprocessing is the engine's own, on a wide photograph as well."""
    from engine.data.decoding import read_rgb
    from engine.jobs.load import make_preset

    about = json.loads((exported / "model.json").read_text())
    pixels = np.random.default_rng(0).integers(0, 256, (53, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    own = make_preset(about["preprocessing"])(read_rgb(tmp_path / "wide.png"))
    assert torch.equal(own, plain_input(tmp_path / "wide.png", about["preprocessing"]))
