"""A node that was cloned or rolled back must never fork its journal (invariant 12).

Before its first write after a start the node learns the largest size of its own log that anyone else has seen (vaults
now; peers and keepers through the same `Witness` port), and compares the generation file, which is bound to the machine
and to the file itself: a copy of the directory has another inode.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from nirantar.errors import Unavailable
from nirantar.host.port import Host


class Witness(Protocol):
    """Someone who has seen the node's log: a vault, a keeper, a peer."""

    def largest_size(self, origin: str) -> int:
        """Entries of `origin` that it has seen. Raises Unavailable when it cannot be asked."""

    def newest_head(self, origin: str) -> tuple[int, bytes] | None:
        """Tree size and root hash of the newest checkpoint of `origin` that it has seen, verified; None where it knows
        none. Raises Unavailable when it cannot be asked."""


class OwnLog(Protocol):
    """The node's own log, as far as it is compared."""

    def size(self, origin: str) -> int:
        """Committed entries."""

    def root(self, origin: str, tree_size: int) -> bytes:
        """The root hash over the first `tree_size` entries, all of which are there."""


class Generation(msgspec.Struct, frozen=True):
    """Where this directory lives: the machine, and the identity of the generation file on its disk."""

    machine_id: str
    file_identity: str


def bind(host: Host, path: Path) -> None:
    """Declare that the node lives here, now: at its making, or when a person says that it moved."""
    host.files.replace(path, b"{}")
    # The identity is known only once the file is there, and replacing it would change it again: so it is appended.
    generation = Generation(host.machine_id, host.files.identity(path))
    host.files.append(path, b"\n" + msgspec.json.encode(generation) + b"\n")


def moved(host: Host, path: Path) -> str | None:
    """Why this directory is not the one that was bound, as a sentence; None when it is."""
    advice = (
        "Two nodes writing one log would destroy its proof, so this one only reads. If the other copy is gone for "
        "good, say so with: nirantar doctor DIR --accept-move"
    )
    try:
        generation = msgspec.json.decode(host.files.read(path).splitlines()[1], type=Generation)
    except (FileNotFoundError, IndexError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return f"The directory has no readable generation file. {advice}"
    if generation.machine_id != host.machine_id:
        return f"The directory was made on another machine. {advice}"
    if generation.file_identity != host.files.identity(path):
        return f"The directory is a copy of another one. {advice}"
    return None


def rolled_back(origin: str, own: OwnLog, witnesses: Iterable[Witness]) -> str | None:
    """Why this log is shorter than what others have seen, or another one, as a sentence; None when it is not, or
    nobody answers."""
    advice = "It only reads. Recover the hospital from its vault under a new node name: nirantar recover."
    own_size = own.size(origin)
    for witness in witnesses:
        try:
            largest = witness.largest_size(origin)
            head = witness.newest_head(origin)
        except Unavailable:
            continue
        if head is not None:
            largest = max(largest, head[0])
        if largest > own_size:
            return (
                f"This node's log has {own_size} entries, but {largest} were seen elsewhere: its disk was rolled back. "
                f"{advice}"
            )
        if head is not None and own.root(origin, head[0]) != head[1]:
            return (
                f"This node's log has other entries before {head[0]} than others saw: its disk was rolled back "
                f"and it then went on another way, or its entries were rewritten. {advice}"
            )
    return None
