"""`tl-tui doctor` from outside: what it finds, in words and in JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import run, strict


def test_doctor_json_reports_torchvision_weights_and_the_terminal(
    environment: dict[str, str], tmp_path: Path
) -> None:
    cache = tmp_path / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    (cache / "resnet18-f37072fd.pth").write_bytes(b"not what its name says")
    done = run("doctor", "--json", env=environment | {"CUDA_VISIBLE_DEVICES": ""})
    (found,) = strict(done.stdout)
    assert found["torchvision"]["fits"] is True
    assert found["weights"]["files"] == [
        {
            "arch": "resnet18",
            "entry": "IMAGENET1K_V1",
            "file": "resnet18-f37072fd.pth",
            "whole": False,
        }
    ]
    assert any("damaged" in problem for problem in found["problems"])
    assert done.returncode == 2
    assert found["terminal"]["is_terminal"] is False


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("raise ImportError('libcudart.so.13: cannot open shared object file')", "libcudart.so.13"),
        ("import os; os.abort()", "ends with signal 6"),
    ],
    ids=["raises", "crashes"],
)
def test_doctor_reports_a_broken_torch(
    broken: str, told: str, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text(broken + "\n")
    done = run("doctor", env=environment | {"PYTHONPATH": str(tmp_path)}, fresh=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr
    assert told in " ".join(done.stdout.split())
