"""`python -m tools.demo_backbone`: train the demo backbone, then write it beside the data."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.demo_backbone import distil, export, pictures, teacher


def main() -> int:
    """Train, go on, or export."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo_backbone",
        description="Distil an ImageNet model into the demo's ResNet-18. Goes on where it stopped.",
    )
    parser.add_argument("--work", type=Path, required=True, help="folder outside git, about 4 GB")
    parser.add_argument(
        "--out", type=Path, help="the weights file; in the work folder if not given"
    )
    parser.add_argument("--image-size", type=int, default=64, help="written into the file")
    parser.add_argument("--export-only", action="store_true", help="from the checkpoint as it is")
    parser.add_argument("--views", type=int, default=600_000, help="the cosine ends there")
    parser.add_argument("--minutes", type=float, default=0.0, help="stop after; 0 is never")
    parser.add_argument("--crops", type=int, default=200_000, help="cut once from the pictures")
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--side", type=int, default=64, help="of a view, in pixels; at most 72")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--weight-decay", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread")
    options = vars(parser.parse_args())
    out, image_size = options.pop("out"), options.pop("image_size")
    export_only = options.pop("export_only")
    settings = distil.Settings(**options)
    checkpoint = settings.work / "checkpoint.pt"
    if export_only and not checkpoint.exists():
        print(f"tools.demo_backbone: there is no {checkpoint} yet", file=sys.stderr)
        return 2
    try:
        if not export_only:
            teacher.Teacher()
            distil.train(settings)
    except (teacher.TeacherMissing, pictures.SourceProblem) as problem:
        print(f"tools.demo_backbone: {problem}", file=sys.stderr)
        return 2
    out = out or settings.work / "resnet18-demo.safetensors"
    export.export(checkpoint, out, image_size=image_size)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
