"""What `GET /health` says: enough for a monitor, nothing about any patient, no secret."""

from __future__ import annotations

import msgspec

from nirantar.host.times import instant
from nirantar.interactions.doors import NodeStatus


def health_document(status: NodeStatus) -> bytes:
    """The status as JSON, with `ok` false when the node only reads, or another process changed its files. What is in
    `red` must be done by somebody, and stops nobody's work."""
    document = msgspec.to_builtins(status)
    document["started_at"] = instant(document.pop("started_at_us"))
    if status.snapshot is not None:
        taken_at_us = document["snapshot"].pop("taken_at_us")
        document["snapshot"]["taken_at"] = instant(taken_at_us) if taken_at_us else None
    if status.recovery is not None:
        document["recovery"]["snapshot_at"] = instant(document["recovery"].pop("snapshot_at_us"))
    return msgspec.json.encode({"ok": status.read_only is None and status.alarm is None, **document})
