"""`tl-tui fetch`: download pretrained weights into torchvision's cache."""

from __future__ import annotations

import subprocess
import sys

import click

from tui.cli import exit_codes
from tui.cli.click_sections import SectionedCommand


@click.command(
    "fetch",
    cls=SectionedCommand,
    examples=(
        ("on a login node, for compute nodes without internet", "tl-tui fetch resnet50"),
        ("older weights, which give better frozen features", "tl-tui fetch resnet50 IMAGENET1K_V1"),
    ),
)
@click.argument("arch", metavar="ARCH")
@click.argument("entry", metavar="[ENUM]", required=False)
def command(arch: str, entry: str | None) -> int:
    """Download a model's pretrained weights into torchvision's cache ($TORCH_HOME) and check their
    hash. ENUM is an entry such as IMAGENET1K_V1; the model's default entry if omitted."""
    from tl_tui.connect.client import engine_command

    # The engine's own process, since only the engine imports torch.
    process = subprocess.Popen(engine_command("fetch", arch, *([entry] if entry else [])))
    try:
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if code < 0:
        print(
            f"tl-tui: the download was killed by signal {-code}; run tl-tui doctor.",
            file=sys.stderr,
        )
        return exit_codes.FAILED
    return code
