"""Read a run's journal line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tl_tui.common.errors import Problem
from tl_tui.runs.journal_writer import JOURNAL

_PREFIX = b'{"event":"'
"""The beginning of every line; the name of the event follows."""


class RunProblem(Problem):
    """A run does not exist or cannot be used; the text says why and what to do."""


class StepLine(msgspec.Struct, frozen=True):
    """What readers need of a train step."""

    start: int
    step: int
    loss: float | str
    """Text if it is not finite; see `common.json_codec`."""


class JournalLine(NamedTuple):
    """A line of a journal."""

    event: bytes
    """The name of the event."""
    content: Any
    """The decoded line; None if no decoder was given for the event, or the line is torn."""
    torn: bool
    """Whether the line is incomplete because the machine went down while it was written."""


def read_journal(
    run: Path, decoders: Mapping[bytes, msgspec.json.Decoder[Any]]
) -> Iterator[JournalLine]:
    """Return every line of a run's journal, also while the run is being written.

    Args:
        run: The run directory.
        decoders: By event name; lines of other events are not decoded, which is much faster.

    Raises:
        RunProblem: The journal cannot be read.
    """
    journal = run / JOURNAL
    try:
        with open(journal, "rb") as file:
            for line in file:
                event = line[len(_PREFIX) : line.find(b'"', len(_PREFIX))]
                decoder = decoders.get(event)
                if decoder is None or not line.startswith(_PREFIX):
                    torn = not (line.startswith(_PREFIX) and line.endswith(b"\n"))
                    yield JournalLine(event, None, torn)
                    continue
                try:
                    content = decoder.decode(line)
                except msgspec.DecodeError:
                    yield JournalLine(event, None, torn=True)
                else:
                    yield JournalLine(event, content, torn=False)
    except OSError as error:
        raise RunProblem(f"{journal} cannot be read ({error.strerror or error}).") from error
