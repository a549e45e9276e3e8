"""Entries for tests of the view: as a node would make them, without a journal around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from nirantar.fold.grants import Grant
from nirantar.fold.version_graph import version_id
from nirantar.host.times import instant
from nirantar.journal.entry import Change, Entry, decode, encode
from nirantar.tlog.merkle import leaf_hash

START_US = 1_790_000_000_000_000
SECOND_US = 1_000_000


def origin_of(node: str) -> str:
    """The log origin of a test hospital's node."""
    return f"test-hospital.example/{node}"


def granted(*nodes: str, **limits: Any) -> dict[str, Grant]:
    """Grants for these nodes by origin, unlimited unless `limits` says otherwise."""
    return {origin_of(node): Grant(node, origin_of(node), "", **limits) for node in nodes}


@dataclass(frozen=True)
class Made:
    """An entry with its place in its journal."""

    entry_index: int
    leaf_hash: bytes
    entry: Entry


@dataclass
class NodeLog:
    """Makes a node's entries one after another; its clock moves a second with each."""

    node: str
    clock_us: int = START_US
    made: list[Made] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """The log's origin."""
        return origin_of(self.node)

    def put(self, *resources: dict[str, Any], parents: Sequence[str] = (), **fields: Any) -> Made:
        """An entry that writes these resources, each made from `parents`."""
        index = len(self.made)
        version = version_id(self.origin, index)
        changes = []
        for resource in resources:
            meta = {"versionId": version, "lastUpdated": instant(self.clock_us)}
            body = msgspec.json.encode({**resource, "meta": meta})
            changes.append(
                Change("PUT", resource["resourceType"], resource["id"], version, tuple(parents), msgspec.Raw(body))
            )
        return self.entry(*changes, **fields)

    def delete(self, type: str, id: str, *, parents: Sequence[str] = (), **fields: Any) -> Made:
        """An entry that deletes one resource."""
        version = version_id(self.origin, len(self.made))
        return self.entry(Change("DELETE", type, id, version, tuple(parents)), **fields)

    def entry(self, *changes: Change, **fields: Any) -> Made:
        """An entry with these changes; `fields` replace what it would have."""
        self.clock_us += SECOND_US
        index = len(self.made)
        plain: dict[str, Any] = {
            "v": 1, "id": f"{self.node}-{index}", "origin": self.origin, "hlc": f"{self.clock_us}.0",
            "recorded_at": instant(self.clock_us), "actor": "someone", "role": "doctor", "workstation": "desk",
            "action": "test", "changes": changes, "salt": "c2FsdHNhbHRzYWx0c2E=",
        }  # fmt: skip
        data = encode(Entry(**{**plain, **fields}))
        entry = decode(data, self.origin, index)
        assert entry is not None
        made = Made(index, leaf_hash(data), entry)
        self.made.append(made)
        return made


def patient(id: str, **elements: Any) -> dict[str, Any]:
    """A Patient."""
    return {"resourceType": "Patient", "id": id, "active": True, **elements}


def observation(id: str, patient_id: str, **elements: Any) -> dict[str, Any]:
    """An Observation of a patient."""
    plain = {
        "resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": f"Patient/{patient_id}"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "effectiveDateTime": "2026-11-23T08:30:00+05:30",
    }  # fmt: skip
    return {**plain, **elements}


def organization(id: str, **elements: Any) -> dict[str, Any]:
    """An Organization, which belongs to no patient."""
    return {"resourceType": "Organization", "id": id, "name": "Ward", **elements}
