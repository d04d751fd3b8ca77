"""The engine's own command line, hidden from the user: `tl-tui engine serve|--stdio|doctor|...`."""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    """Run one of the processes that import torch. Returns the exit code."""
    if arguments[:1] == ["serve"]:
        from engine.server.server import main as serve

        return serve(arguments[1:])
    if arguments[:1] == ["--stdio"]:
        from tl_tui.connect.stdio_relay import main as relay

        return relay(arguments[1:])
    if arguments == ["doctor"]:
        from engine.jobs.doctor import main as look

        return look()
    if arguments[:1] == ["fetch"]:
        from engine.model.weights_download import main as fetch

        return fetch(arguments[1:])
    print(
        "tl-tui engine: this is what tl-tui itself starts; a folder named engine is ./engine.",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
