"""Where this process runs: the host, and the batch job that it ends with."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class HostInfo:
    host: str
    job: str
    """The SLURM job whose step this is; empty outside of one."""
    job_ends: float | None
    """When the job ends, in seconds since 1970; None if SLURM did not say."""


def host_info(environment: Mapping[str, str], host: str) -> HostInfo:
    """What the environment of a process says of where it runs.

    A shell within an allocation (`salloc`) has SLURM_JOB_ID as well, on the login node: what ends
    with a step is what has SLURM_STEP_ID, or a batch script's own SLURM_JOB_ID with its node.
    """
    inside = "SLURM_STEP_ID" in environment or environment.get("SLURMD_NODENAME", "") != ""
    job = environment.get("SLURM_JOB_ID", "") if inside else ""
    ends = environment.get("SLURM_JOB_END_TIME", "") if job else ""
    return HostInfo(host, job, float(ends) if ends.isdigit() else None)


this_host = host_info(os.environ, socket.gethostname())
"""This process's."""
