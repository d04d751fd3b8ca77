"""A user's own modules and folders may be called engine, tui or layers."""

from __future__ import annotations

from pathlib import Path

from tests.support.command_line import SMALL, refused, run, strict
from tests.support.driven_session import draw_images


def test_modules_of_the_user_with_the_same_names_are_not_loaded(
    environment: dict[str, str], images: Path, tmp_path: Path
) -> None:
    """`engine.py` beside the images and on PYTHONPATH is common; nothing of it may run."""
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in ("engine", "tui", "demo_data"):
        (hostile / f"{name}.py").write_text(f"raise SystemExit('the wrong {name}')\n")
    done = run(
        *("train", images, *SMALL, "--json", "--steps", "1"),
        env=environment | {"PYTHONPATH": str(hostile)},
        cwd=hostile,
        fresh=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [line["event"] for line in strict(done.stdout)][-1] == "ended"


def test_a_folder_named_like_a_command_is_opened_by_its_path(
    environment: dict[str, str], tmp_path: Path
) -> None:
    draw_images(tmp_path / "layers", train=4, val=2)
    done = run("layers", "./layers", *SMALL, "--json", env=environment, cwd=tmp_path)
    assert strict(done.stdout)[0]["data"] == "layers"
    assert "needs a terminal" in refused(run("./layers", env=environment, cwd=tmp_path))
