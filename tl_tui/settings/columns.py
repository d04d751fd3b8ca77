"""The option that says which column of a labels file is what: `path=img,label=kind,split=set`."""

from __future__ import annotations

import difflib
from typing import Literal

from tl_tui.common.errors import Problem

Role = Literal["path", "label", "split"]
ROLES: tuple[Role, ...] = ("path", "label", "split")
FIRST_COLUMNS = "path=path,label=label,split=?split"
"""The columns of runs of tl-tui 0.1.0, which knew only these names; the split was optional."""


def parse_columns(text: str | None) -> dict[Role, str]:
    """Return the column of each role that the option names; empty if there is no option.

    A column is a name in the header or a number, counted from 1. An empty one, as in `split=`,
    means that no column has the role.

    Raises:
        Problem: A part has no `=`, an unknown role or a repeated one, or names no column.
    """
    columns: dict[Role, str] = {}
    for part in text.split(",") if text is not None else ():
        name, equals, column = (piece.strip() for piece in part.partition("="))
        where = f"--columns {text}"
        if not equals:
            raise Problem(
                f"{where}: {part.strip() or 'a part'} has no =; write it as path=COLUMN,"
                "label=COLUMN."
            )
        role = next((role for role in ROLES if role == name.lower()), None)
        if role is None:
            near = difflib.get_close_matches(name.lower(), ROLES, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(ROLES)}."
            raise Problem(f"{where}: {name or 'nothing'} is left of =; {hint}")
        if role in columns:
            raise Problem(f"{where}: {role} is named twice; name one column.")
        if not column and role != "split":
            raise Problem(f"{where}: {role}= names no column; write {role}=COLUMN.")
        columns[role] = column
    return columns
