"""Names of classes that differ only in Unicode form, case or surrounding spaces."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from engine.data.samples import printable


def folded(name: str) -> str:
    """Return a name without its Unicode form, case and surrounding spaces, to compare it."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).strip()


def difference(one: str, other: str) -> str:
    """Return how two names with the same folded form differ, such as `case`."""
    reasons = []
    one_text, other_text = one.strip(), other.strip()
    if unicodedata.normalize("NFC", one_text) != unicodedata.normalize("NFC", other_text):
        reasons.append("case")
    if unicodedata.is_normalized("NFC", one) != unicodedata.is_normalized("NFC", other):
        reasons.append("Unicode form")
    if one.split(one_text) != other.split(other_text):
        reasons.append("surrounding spaces")
    return " and ".join(filter(None, (", ".join(reasons[:-1]), *reasons[-1:])))


def match_names(names: Iterable[str], classes: Sequence[str]) -> dict[str, int]:
    """Return the class of each name that has one.

    A name that no class has belongs to the class that differs from it only in Unicode form, case
    or surrounding spaces, if that is a single class which no other of the names belongs to.

    Args:
        names: The names to match, such as those of the folders in `val/`.
        classes: The names of the classes.

    Returns:
        The index of the class by name; names of no class are left out.
    """
    exact = {name: index for index, name in enumerate(classes)}
    names = list(names)
    matched = {name: exact[name] for name in names if name in exact}
    by_form: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(classes):
        by_form[folded(name)].append(index)
    others = [name for name in names if name not in exact]
    forms = Counter(folded(name) for name in others)
    for name in others:
        candidates = by_form.get(folded(name), [])
        if len(candidates) == 1 and forms[folded(name)] == 1:
            (index,) = candidates
            if index not in matched.values():
                matched[name] = index
    return matched


def alike(name: str, names: Iterable[str]) -> list[str]:
    """Return the names that differ from a name only in Unicode form, case or surrounding spaces."""
    return sorted(one for one in names if one != name and folded(one) == folded(name))


def matched_sentences(matched: dict[str, int], classes: Sequence[str], where: str) -> list[str]:
    """Return a sentence for each name that was matched to a class with another name.

    Args:
        matched: See `match_names`.
        classes: The names of the classes.
        where: Where the matched names stand, such as `val/`.
    """
    return [
        f"{_quoted(name)} in {where} differs from the class {_quoted(classes[index])} only in "
        f"{difference(name, classes[index])} and counts as that class."
        for name, index in sorted(matched.items())
        if name != classes[index]
    ]


def similar_sentences(classes: Sequence[str]) -> list[str]:
    """Return a sentence for each group of classes whose names are nearly the same."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        groups[folded(name)].append(name)
    return [
        f"The classes {_quoted(one)} and {_quoted(other)} differ only in {difference(one, other)}; "
        "they count as two classes. If they mean the same, merge them."
        for one, *others in groups.values()
        for other in others
    ]


def _quoted(name: str) -> str:
    return f"'{printable(name)}'"
