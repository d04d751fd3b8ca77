"""A file that a command writes beside its output: CSV or a picture."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tl_tui.common.errors import Problem


class OutputFile:
    """A file that appears under its name only when it is complete."""

    def __init__(self, option: str, name: str, *, force: bool) -> None:
        """
        Args:
            option: The option that names the file, such as `--picture`.
            name: The file.
            force: Whether an existing file may be overwritten.

        Raises:
            Problem: The file exists, or its folder does not or cannot be written.
        """
        self.option, self.name = option, name
        self.path = Path(name)
        folder = self.path.parent
        if not name:
            raise Problem(f"{option} is empty; name a file.")
        if self.path.is_dir():
            raise Problem(f"{option} {name} is a folder; name a file in it.")
        if not folder.is_dir():
            raise Problem(f"{option} {name}: there is no folder {folder}; create it first.")
        if os.path.lexists(self.path) and not force:
            raise Problem(f"{option} {name} exists already; use --force to overwrite it.")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise Problem(f"{option} {name}: its folder cannot be written; choose another one.")
        self.temporary = folder / f".tl-tui{option}.{os.getpid()}.part"
        """Where to write the content."""

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """Yield the temporary path; errors of writing become a `Problem` that names the file."""
        try:
            yield self.temporary
        except OSError as error:
            self.discard()
            raise Problem(
                f"{self.option} {self.name} cannot be written ({error.strerror or error}); make "
                "room or choose another file."
            ) from error

    def finish(self) -> None:
        """Move the content to its place."""
        with self.writing():
            os.replace(self.temporary, self.path)

    def discard(self) -> None:
        """Remove what was written, unless it was finished."""
        self.temporary.unlink(missing_ok=True)
