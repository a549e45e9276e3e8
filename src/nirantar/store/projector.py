"""What one entry means to a view: its changes made ready to be written, or the reason why it is not folded.

Every backend takes its decisions from here, so that they cannot differ. Nothing here looks at the view: whether an
entry is folded depends on the entry and its origin's grant alone, never on what arrived before it (invariant 5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from nirantar.fhir.outline import Outline, outline_of
from nirantar.fold.grants import Grant, violation
from nirantar.fold.version_graph import node_of, version_id
from nirantar.host.times import from_instant
from nirantar.journal.entry import Change, Entry, Hlc

_TIME_MAX_US: Final = 2**62
_TYPE: Final = re.compile(r"[A-Za-z]{1,64}", re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
_document_decoder: Final = msgspec.json.Decoder()

Number = tuple[str, int]
"""(series, serial number without its check digit)."""

Outlines = Mapping[tuple[str, str], Outline]
"""By (type, id): the outlines of an entry's resources that whoever made the entry has at hand."""

NO_OUTLINES: Final[Outlines] = {}


@dataclass(frozen=True, slots=True)
class Projected:
    """One resource version, read: `outline` is its resource's and `resource` its bytes (None: deleted)."""

    type: str
    id: str
    parents: tuple[str, ...]
    compartment: str
    resource: bytes | None
    outline: Outline | None


@dataclass(frozen=True, slots=True)
class Folding:
    """An entry inside its grant, with its times as integers and its changes read."""

    hlc: Hlc
    recorded_at_us: int
    changes: tuple[Projected, ...]


def read_entry(
    entry_index: int, entry: Entry, grants: Mapping[str, Grant], outlines: Outlines = NO_OUTLINES
) -> Folding | str:
    """The entry made ready to fold, or a sentence (without patient data) that says why it is not folded. A resource
    whose outline is in `outlines` is not read again: only who made the entry just now may give one."""
    origin = entry.origin
    grant = grants.get(origin)
    if (why := violation(grant, entry_index, entry.role, (change.type for change in entry.changes))) is not None:
        return why
    if grant is not None and grant.node != node_of(origin):
        return "its origin does not end with the name of the node that the roster gives it"
    if len({(change.type, change.id) for change in entry.changes}) != len(entry.changes):
        return "it changes one resource twice"
    try:
        hlc, recorded_at_us = Hlc.parse(entry.hlc), from_instant(entry.recorded_at)
    except ValueError:
        return "its time is not a time"
    if hlc.wall_us > _TIME_MAX_US or hlc.counter > _TIME_MAX_US:
        return "its clock is out of range"
    own_version = version_id(origin, entry_index)
    changes = []
    for change in entry.changes:
        if change.version_id != own_version:
            return f"it names a version id that is not its own ({own_version})"
        projected = read_change(change, outlines.get((change.type, change.id)))
        if isinstance(projected, str):
            return projected
        changes.append(projected)
    return Folding(hlc, recorded_at_us, tuple(changes))


def read_change(change: Change, outline: Outline | None = None) -> Projected | str:
    """One change read, or why it cannot be. Foreign entries are not validated, so names are checked here: the
    digest's lines and the version graph rely on them."""
    if _TYPE.fullmatch(change.type) is None or _ID.fullmatch(change.id) is None:
        return "it changes something that has no FHIR type and id"
    if any(_ID.fullmatch(parent) is None for parent in change.parents):
        return f"a change of {change.type} names a parent that is no version id"
    resource = change.resource_bytes
    if change.method == "DELETE" or resource is None:
        if change.method != "DELETE" or resource is not None:
            return f"a {change.method} of {change.type} carries the wrong payload"
        compartment = compartment_of(change.type, change.id, None)
        return Projected(change.type, change.id, change.parents, compartment, None, None)
    if outline is None:
        document = parse_resource(resource)
        if document is None or document.get("resourceType") != change.type or document.get("id") != change.id:
            return f"a resource is not the {change.type} that its change names"
        outline = outline_of(document)
    compartment = compartment_of(change.type, change.id, outline.patient)
    return Projected(change.type, change.id, change.parents, compartment, resource, outline)


def parse_resource(resource: bytes) -> dict[str, Any] | None:
    """A resource as a dict for indexing (decimals as floats: no index holds them), or None if it is no object."""
    try:
        document = _document_decoder.decode(resource)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return document if isinstance(document, dict) else None


def compartment_of(resource_type: str, resource_id: str, patient_id: str | None) -> str:
    """`Patient/<id>` for what belongs to one patient, else the resource's type.

    A deletion says nothing of its patient, so it belongs to its type; a Patient belongs to himself even then.
    """
    if resource_type == "Patient":
        return f"Patient/{resource_id}"
    return f"Patient/{patient_id}" if patient_id is not None and _ID.fullmatch(patient_id) else resource_type


def numbers_in(identifiers: Iterable[tuple[str, str]], series_of_system: Mapping[str, str]) -> list[Number]:
    """The serial numbers that identifiers (system, value) carry, by `series_of_system` (identifier system -> series).

    The last digit of an identifier is its check digit and is left out. Values that are not plain digits carry none.
    """
    found = []
    for system, value in identifiers:
        series = series_of_system.get(system)
        if series is not None and 2 <= len(value) <= 19 and value.isascii() and value.isdigit():
            found.append((series, int(value[:-1])))
    return found
