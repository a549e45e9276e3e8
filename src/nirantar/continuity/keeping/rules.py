"""Who may put and read what at a keeper, before any byte of an object is looked at.

A node's token opens the node's own part and, of a log that a recovery has closed, what lies below its end: a recovered
node brings along what this keeper lacks of the lost ones. A recovery token reads everything and brings papers.
Nobody's token overwrites or deletes: there is no call for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from nirantar.continuity.keeping.records import TokenKind
from nirantar.continuity.keeping.register import Register
from nirantar.errors import Forbidden, LimitExceeded
from nirantar.limits import (
    ATTACHMENT_BYTES_MAX,
    KEEPER_ALARM_BYTES_MAX,
    KEEPER_CHECKPOINT_BYTES_MAX,
    KEEPER_OBJECT_BYTES_MAX,
    KEEPER_PAPER_BYTES_MAX,
    SNAPSHOT_MAP_BYTES_MAX,
    SNAPSHOT_PACK_BYTES_MAX,
)
from nirantar.vault.keys import (
    CUSTODY_PREFIX,
    HOSPITAL_KEY,
    ROSTER_PREFIX,
    AlarmKey,
    AttachmentKey,
    CosignatureKey,
    ManifestKey,
    MapKey,
    PackKey,
    SegmentKey,
    TileKey,
    VaultKey,
    parse,
)

_SEALED_MORE: Final = 1_024
_OF_NODES_ALONE: Final = (
    SegmentKey, TileKey, AttachmentKey, CosignatureKey, ManifestKey, MapKey, PackKey, AlarmKey
)
"""What a recovery does not bring, though it makes a node and speaks for it once."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who calls: the name of a node, or of a recovery, as the keeper's operator gave it with the token."""

    kind: TokenKind
    name: str

    @property
    def account(self) -> str:
        """The account that is charged."""
        return self.name if self.kind == "node" else f"recovery:{self.name}"


class Rules(Protocol):
    """What the keeper asks before it takes or gives an object."""

    def require_put(self, bearer: Bearer, key: str, size: int) -> None:
        """Raise Forbidden or LimitExceeded unless `bearer` may store `size` bytes under `key`."""

    def require_get(self, bearer: Bearer, key: str) -> None:
        """Raise Forbidden unless `bearer` may read what `key`, or a listing by this prefix, names."""


class RosterRules:
    """The rules, by the roster in force."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def require_put(self, bearer: Bearer, key: str, size: int) -> None:
        """By kind of key and of bearer; see the module."""
        named = parse(key)
        _require_size(key, named, size)
        node = node_of(named)
        if key == HOSPITAL_KEY or (named is not None and node is None):
            return
        if bearer.kind == "recovery" and isinstance(named, _OF_NODES_ALONE):
            raise Forbidden(
                f"The token of {bearer.name} reads and brings papers. A node needs a token of its own: have the "
                "keeper's operator make one (nirantar keeper token DIR --node NAME) for the node's token file."
            )
        if named is None or node is None:
            raise Forbidden(f"{key} has no place in a vault, so a keeper does not take it.")
        there = self._register.grant_of_node(node)
        if there is not None and bearer.kind == "recovery":
            return
        own = self._register.grant_of_node(bearer.name)
        if there is None or own is None:
            raise Forbidden(f"The roster of this keeper does not name {bearer.name if there else node}.")
        if node != bearer.name and (there.last_size is None or own.last_size is not None):
            raise Forbidden(f"The token of {bearer.name} does not open the part of {node}.")
        if there.last_size is not None and _reaches(named) > there.last_size:
            raise Forbidden(f"A recovery closed the log of {node} at {there.last_size} entries.")

    def require_get(self, bearer: Bearer, key: str) -> None:
        """A recovery reads everything; a node the papers, its own part, and that of closed logs."""
        if bearer.kind == "recovery" or key == HOSPITAL_KEY or key.startswith((ROSTER_PREFIX, CUSTODY_PREFIX)):
            return
        part = key.partition("/")[0]
        there = self._register.grant_of_node(part) if "/" in key else None
        if part != bearer.name and (there is None or there.last_size is None):
            raise Forbidden(f"The token of {bearer.name} does not read {key or 'everything'}: a recovery token does.")


def node_of(named: VaultKey | None) -> str | None:
    """In whose part of the vault an object lies; None for a paper of the hospital."""
    node: str | None = getattr(named, "node", None)
    return node


def _reaches(named: VaultKey) -> int:
    """The tree size up to which an object speaks of its log; beyond every log where it has none."""
    match named:
        case SegmentKey():
            return named.end
        case CosignatureKey():
            return named.tree_size
        case TileKey():
            return 0
        case _:
            return 1 << 63


def _require_size(key: str, named: VaultKey | None, size: int) -> None:
    match named:
        case AttachmentKey():
            bytes_max = ATTACHMENT_BYTES_MAX + _SEALED_MORE
        case CosignatureKey():
            bytes_max = KEEPER_CHECKPOINT_BYTES_MAX
        case PackKey():
            bytes_max = SNAPSHOT_PACK_BYTES_MAX
        case MapKey():
            bytes_max = SNAPSHOT_MAP_BYTES_MAX
        case AlarmKey():
            bytes_max = KEEPER_ALARM_BYTES_MAX
        case _:
            bytes_max = KEEPER_PAPER_BYTES_MAX if node_of(named) is None else KEEPER_OBJECT_BYTES_MAX
    if size > bytes_max:
        raise LimitExceeded(f"{key[:80]} would have {size} bytes; a keeper takes at most {bytes_max} of its kind.")
