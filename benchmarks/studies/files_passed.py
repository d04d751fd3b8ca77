"""Report the files that the key space and a gradient norm pass through.

    python -m benchmarks.studies.files_passed

The report has no limit, because unrelated code should not be merged to reduce a number. It runs the
app on a real engine, traces every call of this project's code, and prints:

- the files with code that runs in the screen's process from the press of `space` until the engine
  has confirmed the mask;
- the subset of these files on the call stack when the command is sent or when changed cells are
  passed to Textual (the shortest path);
- the files with a function that has a gradient norm, or a message that carries it, in its
  parameters, local variables or result, from autograd to the cell of the table;
- how often each widget was drawn for the key.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = str(Path(__file__).resolve().parents[2]) + os.sep
PACKAGES = ("engine", "tui", "tl_tui")
CARRIERS = {
    "PassResult",
    "_Numbers",
    "Measurement",
    "LayerMeasurement",
    "StepResult",
    "StepTaken",
    "LayerStatus",
}
"""The names of the classes whose instances carry a norm."""
DEPTH, BREADTH = 4, 60
"""The nesting depth, and the number of elements per container, that are searched for a norm."""


def project_file(frame: FrameType) -> str | None:
    """Return the path of a frame's file within the project; None for other code."""
    name = frame.f_code.co_filename
    if not name.startswith(ROOT):
        return None
    path = name.removeprefix(ROOT)
    return path if path.partition(os.sep)[0] in PACKAGES else None


class NormFiles:
    """Collects the files whose functions hold a gradient norm."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report, self._seen = report, set[str]()
        self._cell = ""
        """The norm as formatted in the table; empty before the step's event."""

    def __call__(self, frame: FrameType, event: str, value: Any) -> None:
        if event != "return" or (path := project_file(frame)) is None or path in self._seen:
            return
        if any(self._carries(each, DEPTH) for each in (value, *frame.f_locals.values())):
            self._seen.add(path)
            self._report(path)

    def _carries(self, value: Any, depth: int) -> bool:
        kind = type(value)
        if kind.__name__ in CARRIERS:
            if kind.__name__ == "StepTaken" and value.rows and value.rows[-1].grad_norm:
                self._cell = f"{value.rows[-1].grad_norm:.1e}"
            return True
        if kind in (bytes, bytearray, memoryview):
            return b"StepTaken" in bytes(value[:64])
        if kind is str:
            return bool(self._cell) and self._cell in value
        if kind in (tuple, list) and depth:
            return any(self._carries(each, depth - 1) for each in value[:BREADTH])
        return False


def serve_traced(out: str, arguments: list[str]) -> int:
    """Run an engine that appends the paths of the files that a norm passes through to `out`."""
    file = open(out, "a", buffering=1)  # noqa: SIM115
    trace = NormFiles(lambda path: print(path, file=file))
    threading.setprofile(trace)
    sys.setprofile(trace)
    from engine.server.server import main

    return main(arguments)


class UnicodeTerminal:
    """A terminal with colours and Unicode."""

    monochrome, unicode = False, True


class KeyFiles:
    """Collects the files that run for a key, and the files on the call stacks of its effects."""

    def __init__(self) -> None:
        self.ran: set[str] = set()
        self.path: set[str] = set()
        self.drawn: Counter[str] = Counter()

    def __call__(self, frame: FrameType, event: str, value: Any) -> None:
        if event != "call" or (path := project_file(frame)) is None:
            return
        self.ran.add(path)
        if frame.f_code.co_name == "set_lines" and path.endswith("line_widget.py"):
            widget = frame.f_locals["self"]
            self.drawn[widget.id or type(widget).__name__] += 1

    def note_stack(self) -> None:
        """Add the files on the current call stack."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if (path := project_file(frame)) is not None:
                self.path.add(path)
            frame = frame.f_back


async def watch(out: str) -> tuple[KeyFiles, set[str]]:
    """Press space and then t in a traced app on a real engine."""
    from textual.widget import Widget

    from tl_tui.connect.client import EngineProcess
    from tl_tui.connect.local_link import LocalLink
    from tl_tui.protocol.config import RunConfig
    from tui.app.app import WorkbenchApp

    serve = [sys.executable, "-m", "benchmarks.studies.files_passed", "--engine", out]
    process = EngineProcess.start(serve)
    config = RunConfig(weights="none", image_size=64, batch_size=4, device="cpu")
    terminal = UnicodeTerminal()
    app = WorkbenchApp(LocalLink(process), config, terminal=terminal, animation=False)

    def is_idle() -> bool:
        return app.run_state.phase == "ready" and app.run_state.results.step_cost is not None

    async with app.run_test(size=(120, 40)) as pilot:
        while not is_idle():
            await pilot.pause(0.1)
        await pilot.press("down")
        await pilot.pause(0.5)
        key, send, refresh = KeyFiles(), app.link.send, Widget.refresh

        def traced_send(command: Any) -> None:
            key.note_stack()
            send(command)

        def traced_refresh(self: Widget, *regions: Any, **options: Any) -> Widget:
            if regions:
                key.note_stack()
            return refresh(self, *regions, **options)

        app.link.send = traced_send  # type: ignore[method-assign]
        Widget.refresh = traced_refresh  # type: ignore[method-assign]
        sys.setprofile(key)
        await pilot.press("space")
        while app.run_state.unanswered:
            await pilot.pause(0.05)
        await pilot.pause(0.2)
        sys.setprofile(None)
        Widget.refresh = refresh  # type: ignore[method-assign]
        norms: set[str] = set()
        sys.setprofile(NormFiles(norms.add))
        await pilot.press("t")
        while not app.run_state.step:
            await pilot.pause(0.05)
        await pilot.pause(0.5)
        sys.setprofile(None)
        app.exit()
    process.kill()
    return key, norms


def main() -> int:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", metavar="OUT", help=argparse.SUPPRESS)
    options, rest = parser.parse_known_args()
    if options.engine:
        return serve_traced(options.engine, rest)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"XDG_STATE_HOME": folder, "TL_TUI_TMPDIR": folder}
        out = Path(folder, "engine-files")
        key, norms = asyncio.run(watch(str(out)))
        norms |= set(out.read_text().split())
    for title, files in (
        ("space: files in which code runs", key.ran),
        ("space: files on the shortest path", key.path),
        ("a gradient norm: files it passes through", norms),
    ):
        print(f"{title}: {len(files)}", *sorted(files), sep="\n  ")
    print("space: how often each widget got lines:", dict(key.drawn))
    return 0


if __name__ == "__main__":
    sys.exit(main())
