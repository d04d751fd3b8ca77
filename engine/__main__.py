"""The command line of the engine, `tl-tui engine serve|--stdio|doctor|fetch`, for internal use."""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    """Run one of the engine's processes. Returns the exit code."""
    if arguments[:1] == ["serve"]:
        from engine.server.server import main as serve

        return serve(arguments[1:])
    if arguments[:1] == ["--stdio"]:
        from tl_tui.connect.stdio_relay import main as relay

        return relay(arguments[1:])
    if arguments == ["doctor"]:
        from engine.jobs.doctor import main as doctor

        return doctor()
    if arguments[:1] == ["fetch"]:
        from engine.model.weights_download import main as fetch

        return fetch(arguments[1:])
    print(
        "tl-tui engine is started by tl-tui itself. For a folder named engine, write ./engine.",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
