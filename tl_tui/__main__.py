"""The console script `tl-tui`.

A user's working directory or PYTHONPATH may contain an `engine.py`. This script therefore loads the
project's own packages by their paths before any other module can take their names. It does not
change the import path.
"""

from __future__ import annotations

import importlib.util
import os
import sys

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _claim(*names: str) -> None:
    """Import the project's packages by their paths, so that later imports use them."""
    for name in names:
        folder = os.path.join(_ROOT, name)
        spec = importlib.util.spec_from_file_location(
            name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
        )
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)


def main() -> None:
    """Run the command line, or the engine for `tl-tui engine ...`, which the client starts."""
    if "tl_tui" not in sys.modules:
        _claim("tl_tui")
    if sys.argv[1:2] == ["engine"]:
        _claim("engine", "demo_data")
        from engine.__main__ import main as engine_main
        from tl_tui.common.plain_text import accept_any_text

        accept_any_text()

        sys.exit(engine_main(sys.argv[2:]))
    _claim("tui")
    from tui.cli.main import main as command_line

    sys.exit(command_line(sys.argv[1:]))


if __name__ == "__main__":
    main()
