"""What changed between two versions of a resource, field by field, in the words of the desk where it has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_UNSHOWN: Final = ("meta", "id", "resourceType")
_LABELS: Final = (
    (r"name\[0\]\.text", "Name"), (r"gender", "Sex"), (r"birthDate", "Birth date"), (r"telecom\[0\]\.value", "Phone"),
    (r"address\[0\]\.line\[0\]", "Address"), (r"address\[0\]\.district", "District"),
    (r"address\[0\]\.state", "State"), (r"address\[0\]\.postalCode", "PIN code"),
    (r"contact\[0\]\.name\.text", "Relative’s name"), (r"contact\[0\]\.relationship\[0\]\.text", "Relation"),
    (r"communication\[0\]\.language\.text", "Language"),
    (r"extension\[\d+\]\.extension\[0\]\.valueAge\.value", "Age as told"),
    (r"extension\[\d+\]\.extension\[0\]\.valueAge\.unit", "Age unit"),
    (r"extension\[\d+\]\.extension\[1\]\.valueDate", "Age told on"),
    (r"status", "Status"), (r"active", "Active"),
)
_WORD: Final = re.compile(r"([a-z])([A-Z])")


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: its `label`, and its text before and after ("" where it was not there)."""

    label: str
    path: str
    before: str
    after: str


def difference(before: dict[str, Any] | None, after: dict[str, Any] | None) -> tuple[FieldChange, ...]:
    """Every leaf that differs, in the order of the newer version. None stands for nothing or a deletion."""
    old, new = dict(_leaves(before or {})), dict(_leaves(after or {}))
    paths = [*new, *(path for path in old if path not in new)]
    return tuple(
        FieldChange(label_of(path), path, old.get(path, ""), new.get(path, ""))
        for path in paths
        if old.get(path) != new.get(path)
    )


def label_of(path: str) -> str:
    """A field's plain name; its path in words where the desk has none."""
    for pattern, label in _LABELS:
        if re.fullmatch(pattern, path):
            return label
    plain = re.sub(r"\[0\]", "", path).replace(".", ", ")
    plain = re.sub(r"\[(\d+)\]", lambda found: f" {int(found.group(1)) + 1}", plain)
    return _WORD.sub(lambda found: f"{found.group(1)} {found.group(2).lower()}", plain)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if path or name not in _UNSHOWN:
                yield from _leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{place}]")
    else:
        yield path, {True: "yes", False: "no", None: ""}.get(value, str(value)) if not isinstance(value, str) else value
