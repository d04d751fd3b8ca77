"""The screen never imports torch and the engine never imports the screen.

Static analysis cannot see a deferred import, a fresh interpreter cannot see what it did not run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT


def loaded_after(code: str) -> set[str]:
    """Run code in a new interpreter and return the top-level modules it has loaded."""
    program = f"{code}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def lint_imports(project: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of `[tool.importlinter]` in a copy of the project."""
    program = "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])"
    return subprocess.run(
        [sys.executable, "-c", program], cwd=project, capture_output=True, text=True, timeout=120
    )


def test_the_import_contracts_hold() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 kept, 0 broken" in done.stdout


def test_an_upward_import_breaks_each_contract(tmp_path: Path) -> None:
    """One is added to a copy of the project for each contract."""
    for package in ("tl_tui", "engine", "tui", "demo_data", "tools"):
        shutil.copytree(
            ROOT / package,
            tmp_path / package,
            ignore=lambda folder, names: [
                name for name in names if not (name.endswith(".py") or Path(folder, name).is_dir())
            ],
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for module, imported in (
        ("tl_tui/common/errors.py", "tl_tui.protocol.config"),
        ("engine/model/layer_stack.py", "engine.session.run"),
        ("tui/drawing/plot.py", "tui.screens.results"),
        ("tl_tui/settings/config_file.py", "tui.text.format"),
        ("tui/text/format.py", "torch"),
        ("engine/data/decoding.py", "rich.text"),
    ):
        with open(tmp_path / module, "a") as file:
            file.write(f"\nimport {imported}\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "0 kept, 6 broken" in done.stdout


def _modules(package: str) -> list[str]:
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / package).rglob("*.py"))
    ]


def test_no_module_of_the_screen_loads_torch() -> None:
    imports = "; ".join(f"import {name}" for name in _modules("tui"))
    loaded = loaded_after(imports)
    assert {"textual", "tui"} <= loaded
    assert not loaded & {"torch", "torchvision", "safetensors"}


def test_no_module_of_the_engine_loads_the_screen() -> None:
    imports = "; ".join(f"import {name}" for name in _modules("engine"))
    loaded = loaded_after(imports)
    assert {"torch", "engine"} <= loaded
    assert not loaded & {"textual", "rich", "click", "tui"}


@pytest.mark.parametrize("module", ["server.dispatch", "server.server", "server.connections"])
def test_the_server_starts_without_torch(module: str) -> None:
    """What runs before the first stage of opening needs no torch."""
    assert "torch" not in loaded_after(f"import engine.{module}")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["train", "--help"]])
def test_the_command_line_starts_without_heavy_imports(arguments: list[str]) -> None:
    code = f"from tui.cli.main import main; assert main({arguments!r}) == 0"
    assert not loaded_after(code) & {"textual", "rich", "torch", "asyncio", "numpy"}
