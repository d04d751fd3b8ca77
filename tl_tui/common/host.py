"""The host and the SLURM job that this process runs in."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class HostInfo:
    """The host and the SLURM job of a process."""

    host: str
    job: str
    """The SLURM job that the process ends with; empty outside of a job."""
    job_ends: float | None
    """When the job ends, in seconds since 1970; None if it is not known."""


def host_info(environment: Mapping[str, str], host: str) -> HostInfo:
    """Return the host and the SLURM job of a process from its environment variables.

    SLURM_JOB_ID alone is not enough: a shell on the login node that holds an allocation (`salloc`)
    has it too. A job step also has SLURM_STEP_ID, and a batch script SLURMD_NODENAME.
    """
    inside = "SLURM_STEP_ID" in environment or environment.get("SLURMD_NODENAME", "") != ""
    job = environment.get("SLURM_JOB_ID", "") if inside else ""
    ends = environment.get("SLURM_JOB_END_TIME", "") if job else ""
    return HostInfo(host, job, float(ends) if ends.isdigit() else None)


this_host = host_info(os.environ, socket.gethostname())
"""The host and job of this process."""
