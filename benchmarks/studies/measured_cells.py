"""Finished measurements in a file, so that a long study can be continued."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path

from safetensors.torch import load_file


class MeasuredCells:
    """The cells of a table, measured in parallel processes and stored as JSON lines."""

    def __init__(self, path: Path, measure: Callable[[dict], dict[str, float]]) -> None:
        """
        Args:
            path: The file; created if it does not exist.
            measure: Measures one job; a top-level function.
        """
        self.path, self._measure = path, measure
        self.known: dict[str, dict[str, float]] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                cell = json.loads(line)
                self.known[cell["key"]] = cell["found"]

    def key(self, job: dict) -> str:
        """Return what identifies a job, including the weights it measures."""
        uses = {k: v for k, v in job.items() if k not in ("work", "weights")}
        if job["row"] in ("demo", "last stage", "full"):
            uses["hash"] = tensors_digest(job["weights"])
        return json.dumps(uses, sort_keys=True)

    def run(self, jobs: list[dict], workers: int) -> list[dict[str, float]]:
        """Return the result of every job, measuring those that are not in the file."""
        todo = [job for job in jobs if self.key(job) not in self.known]
        os.environ["OMP_NUM_THREADS"] = "1"
        with ProcessPoolExecutor(workers) as processes:
            for number, (job, found) in enumerate(
                zip(todo, processes.map(self._measure, todo), strict=True), start=1
            ):
                self.known[self.key(job)] = found
                with self.path.open("a") as file:
                    file.write(json.dumps({"key": self.key(job), "found": found}) + "\n")
                fields = {k: v for k, v in job.items() if k not in ("work", "weights")}
                print(f"{number}/{len(todo)} {fields} {found}", flush=True)
        return [self.known[self.key(job)] for job in jobs]


@lru_cache
def tensors_digest(path: str) -> str:
    """Return a hash of a file's tensors without its metadata, which does not affect the results."""
    sha256 = hashlib.sha256()
    for name, tensor in sorted(load_file(path).items()):
        sha256.update(name.encode() + tensor.numpy().tobytes())
    return sha256.hexdigest()[:16]


@lru_cache
def digest(path: str) -> str:
    """Return a hash of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
