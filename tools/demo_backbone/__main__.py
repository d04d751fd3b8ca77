"""`python -m tools.demo_backbone`: train the demo backbone and write its weights file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.demo_backbone import distil, export, pictures, teacher


def main() -> int:
    """Train or resume, then export the weights. Return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo_backbone",
        description="Distil an ImageNet model into the demo's ResNet-18. An interrupted run is "
        "resumed from its last checkpoint.",
    )
    parser.add_argument(
        "--work", type=Path, required=True, help="working folder, outside git; needs about 4 GB"
    )
    parser.add_argument(
        "--out", type=Path, help="weights file to write (default: in the working folder)"
    )
    parser.add_argument(
        "--image-size", type=int, default=64, help="image size noted in the weights file, in pixels"
    )
    parser.add_argument(
        "--export-only", action="store_true", help="export the last checkpoint without training"
    )
    parser.add_argument(
        "--views", type=int, default=600_000, help="number of training views (default: 600000)"
    )
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="stop after this many minutes; 0 means never"
    )
    parser.add_argument(
        "--crops", type=int, default=200_000, help="number of crops cut from the photographs"
    )
    parser.add_argument("--batch", type=int, default=96, help="batch size over all processes")
    parser.add_argument(
        "--side", type=int, default=64, help="side of a view in pixels, at most 72 (default: 64)"
    )
    parser.add_argument("--lr", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--weight-decay", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--workers", type=int, default=2, help="number of processes, with one thread each"
    )
    options = vars(parser.parse_args())
    out, image_size = options.pop("out"), options.pop("image_size")
    export_only = options.pop("export_only")
    settings = distil.Settings(**options)
    checkpoint = settings.work / "checkpoint.pt"
    if export_only and not checkpoint.exists():
        print(f"tools.demo_backbone: {checkpoint} does not exist; train first", file=sys.stderr)
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
