"""Measure the cost of listing many images: files per second, and memory.

    python -m benchmarks.studies.many_files [--files 2000 20000]

Creates tiny images of ten classes in a temporary folder, lists the folder as a session does, and
decodes one batch. Each number of files is measured in a separate process. Memory is the peak
resident size minus the size before the listing. "Longest" is the longest time between two progress
reports, during which the engine handles no command.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results"
CLASSES = 10
BATCH = 32


def draw(root: Path, files: int) -> None:
    """Create images of 8 x 8 pixels with a few different contents."""
    from PIL import Image

    contents = []
    for level in range(16):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), (16 * level, 255 - 16 * level, 128)).save(buffer, "PNG")
        contents.append(buffer.getvalue())
    for label in range(CLASSES):
        (root / f"class {label}").mkdir()
    for number in range(files):
        path = root / f"class {number % CLASSES}" / f"{number:07}.png"
        path.write_bytes(contents[number % len(contents)])


def resident(field: str) -> int:
    """Return a field of /proc/self/status in bytes: VmRSS (current) or VmHWM (peak)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status has no {field}")


def measure(root: Path) -> dict[str, float]:
    """List the folder and decode one batch; call it in a new process."""
    from torchvision.transforms._presets import ImageClassification

    from engine.data.batches import Decoder
    from engine.data.dataset.image_folder import list_folder
    from engine.data.samples import ImageFolder
    from engine.data.train_batches import TrainBatches

    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    began = last = time.perf_counter()
    longest, reports = 0.0, 0
    folder = None
    for report in list_folder(root):
        now = time.perf_counter()
        longest, last, reports = max(longest, now - last), now, reports + 1
        if isinstance(report, ImageFolder):
            folder = report
    seconds = time.perf_counter() - began
    assert folder is not None
    memory = resident("VmHWM") - before
    files = len(folder.train) + len(folder.val)
    decoder = Decoder(ImageClassification(crop_size=32, resize_size=36))
    batches = TrainBatches(folder.train, BATCH, 0, decoder)
    began = time.perf_counter()
    batches.configure(augmentation="light", balance=True)
    batches.take()
    first = time.perf_counter() - began
    decoder.close()
    return {
        "files": files,
        "seconds": seconds,
        "files_per_second": files / seconds,
        "reports": reports,
        "longest_ms": 1000 * longest,
        "memory_bytes": memory,
        "bytes_per_file": memory / files,
        "first_batch_ms": 1000 * first,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, nargs="+", default=[2000, 20_000])
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child)))
        return
    rows = []
    for files in options.files:
        with tempfile.TemporaryDirectory() as folder:
            draw(Path(folder), files)
            command = [sys.executable, "-m", "benchmarks.studies.many_files", "--child", folder]
            answer = subprocess.run(command, check=True, capture_output=True, text=True)
        row = json.loads(answer.stdout)
        rows.append(row)
        print(
            f"{row['files']:>9,} files  {row['files_per_second']:>9,.0f} files/s  "
            f"{row['memory_bytes'] / 2**20:6.1f} MiB ({row['bytes_per_file']:.0f} bytes/file)  "
            f"longest {row['longest_ms']:.0f} ms  first batch {row['first_batch_ms']:.0f} ms",
            flush=True,
        )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "many_files.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
