"""Options, markers and fixtures of all tests. Loaded before torch is imported."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest

# Two workers on two cores: threads that wait for each other's cores cost more than they save.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.support import command_line, property_tests  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thorough",
        action="store_true",
        help="run every variant, not one representative of those alike; implies --fresh",
    )
    parser.addoption(
        "--fresh",
        action="store_true",
        help="start every process in an interpreter of its own, as a user does, not as a fork",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--thorough"):
        os.environ[property_tests.VARIABLE] = "thorough"
    fresh = config.getoption("--fresh") or config.getoption("--thorough")
    if not fresh and sys.platform == "linux":
        command_line.use_fork_server()


@pytest.fixture(scope="session")
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether every variant is to be tested, by `--thorough`."""
    return bool(request.config.getoption("--thorough"))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables that keep every file of `tl-tui` in the test's own folder."""
    return command_line.isolated_environment(tmp_path)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without `--thorough`, leave out variants that are like others which are tested."""
    if config.getoption("--thorough"):
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Check that groups hold, and leave all that was imported out of garbage collections.

    Sessions in tests collect garbage, to free the model before; through torch that takes 0.3 s.
    """
    grouped = [item for item in session.items if item.get_closest_marker("xdist_group")]
    if getattr(session.config.option, "loadgroup", False):
        if not all("@" in item.nodeid for item in grouped):
            raise pytest.UsageError("this pytest-xdist ignores groups with this pytest")
    gc.collect()
    gc.freeze()
