"""The names that the folders of a split have: for training, for validation and for testing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from engine.data.dataset.class_names import folded

Role = Literal["train", "val", "test"]

TRAIN_NAMES = ("train", "training", "trn")
VALIDATION_NAMES = ("val", "valid", "validation", "validate", "dev", "eval", "evaluation")
TEST_NAMES = ("test", "testing", "tests", "tst", "holdout")
_NAMES: dict[Role, tuple[str, ...]] = {
    "train": TRAIN_NAMES,
    "val": VALIDATION_NAMES,
    "test": TEST_NAMES,
}
_ROLES: dict[str, Role] = {name: role for role, names in _NAMES.items() for name in names}
_RANK = {name: rank for rank, name in enumerate(_ROLES)}
GENERIC = frozenset(
    "set sets data dataset images image imgs img pictures photos split folder files".split()
)
"""Words that say nothing about the split that they stand beside."""


@dataclass(frozen=True)
class Split:
    """A folder whose name says which part of a split it holds."""

    role: Role
    name: str
    rest: tuple[str, ...]
    """The other words of the name, such as `seg` in `seg_train`."""

    @property
    def order(self) -> tuple[int, str]:
        """The order of the parts of a split: train, val, test."""
        return list(_NAMES).index(self.role), self.name

    @property
    def rank(self) -> tuple[bool, bool, int, str]:
        """The order of folders with the same role: the plain word first."""
        word = folded(self.name)
        return bool(self.rest), word != self.name, _RANK.get(word, len(_RANK)), self.name


def split_of(name: str) -> Split | None:
    """Return the part of a split that a folder's name stands for; None if it is another name."""
    words = [word for word in re.split(r"[\W_\d]+", folded(name)) if word]
    if len(words) == 1:
        for suffix in GENERIC:
            stem = words[0].removesuffix(suffix)
            if stem in _ROLES:
                words = [stem]
                break
    known = [word for word in words if word in _ROLES]
    roles = {_ROLES[word] for word in known}
    if len(roles) != 1 or not (words[0] in _ROLES or words[-1] in _ROLES):
        return None
    rest = tuple(word for word in words if word not in _ROLES and word not in GENERIC)
    return Split(roles.pop(), name, rest)


def find_splits(names: list[str]) -> list[Split]:
    """Return the folders that are parts of a split, judging by the names of all of them.

    A name with other words counts if another part of a split has the same ones, so that
    `seg_train` beside `seg_test` is part of a split, and the class `steam_train` is not.
    """
    splits = [split for name in names if (split := split_of(name)) is not None]
    found = [
        split
        for split in splits
        if not split.rest
        or any(other.rest == split.rest and other.role != split.role for other in splits)
    ]
    # `valid` is a class beside `invalid`.
    return [split for split in found if not {f"in{folded(split.name)}"} & set(map(folded, names))]
