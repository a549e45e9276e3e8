"""Where things lie in a vault. One place decides it, one place reads it back.

    hospital.json                                   the founding document: name, slug, age recipients, authority key
    roster/<serial, 8 digits>.note                  which nodes exist and what they may write, signed, in order
    custody/<serial, 8 digits>.note                 what is sealed to whom, and who signs, signed, in order
    <node>/live/<first, 12 digits>-<count>.segment  entries `first` .. `first + count - 1`, sealed within a second
    <node>/minute/..., hour, day, month             the same entries again, merged: each level from the one before it
    <node>/tile/<L>/<N>                             a full hash tile of the node's log (C2SP tlog-tiles paths)
    <node>/attachment/<SHA-256 of the ciphertext>   a scan or document, encrypted
    <node>/cosignature/<size, 12 digits>-<key>.note a checkpoint that a keeper cosigned; <key> is the cosigning key's id
    <node>/snapshot/<serial, 8 digits>.manifest     what a snapshot of the node's view consists of, signed
    <node>/map/<SHA-256 of the object>              where a stretch of the view's pages lies
    <node>/pack/<serial, 8 digits>-<32 hex>         encrypted pages of the view
    <node>/alarm/<microseconds, 16 digits>-<n>.json another process changed the node's files: what, and when
    rehearsal/<microseconds, 16 digits>.note        the certificate of a rehearsed recovery that ended then, signed
    <node>/recovery.note                            what the recovery that made the node did and found, signed

Keys of one level sort by first index. Two segments of a level may overlap: a node that died between storing a segment
and noting it seals from the same entry again, so a reader takes the longest that fits and needs no rule for ties. A
merged segment begins and ends where segments of the level below it do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Final, cast

from nirantar.errors import InvalidInput
from nirantar.limits import NODE_NAME_CHARS_MAX, VAULT_KEY_CHARS_MAX, VAULT_KEY_PART_CHARS_MAX

HOSPITAL_KEY: Final = "hospital.json"
ROSTER_PREFIX: Final = "roster/"
CUSTODY_PREFIX: Final = "custody/"
LEVELS: Final = ("live", "minute", "hour", "day", "month")
"""From what is sealed within a second to what is kept for good; each is merged from the one before it."""
REHEARSAL_PREFIX: Final = "rehearsal/"
NODE_NAMES_RESERVED: Final = frozenset({"authority", "custody", "rehearsal", "roster"})
"""Node names that would mix with the vault's own directories, or with the names of the hospital's other keys."""

_PART: Final = re.compile(r"(?!\.)[a-z0-9._-]+")
_NODE: Final = rf"(?P<node>[a-z][a-z0-9-]{{0,{NODE_NAME_CHARS_MAX - 1}}})"
_SEGMENT: Final = re.compile(
    rf"{_NODE}/(?P<level>{'|'.join(LEVELS)})/(?P<first>[0-9]{{12}})-(?P<count>[1-9][0-9]{{0,11}})\.segment"
)
_TILE: Final = re.compile(rf"{_NODE}/tile/(?P<level>0|[1-9]|[1-5][0-9]|6[0-3])/(?P<number>(?:x[0-9]{{3}}/)*[0-9]{{3}})")
_ATTACHMENT: Final = re.compile(rf"{_NODE}/attachment/(?P<digest>[0-9a-f]{{64}})")
_COSIGNATURE: Final = re.compile(rf"{_NODE}/cosignature/(?P<tree_size>[0-9]{{12}})-(?P<key_id>[0-9a-f]{{8}})\.note")
_MANIFEST: Final = re.compile(rf"{_NODE}/snapshot/(?P<serial>[0-9]{{8}})\.manifest")
_MAP: Final = re.compile(rf"{_NODE}/map/(?P<digest>[0-9a-f]{{64}})")
_PACK: Final = re.compile(rf"{_NODE}/pack/(?P<name>[0-9]{{8}}-[0-9a-f]{{32}})")
_ALARM: Final = re.compile(rf"{_NODE}/alarm/(?P<at_us>[0-9]{{16}})-(?P<number>0|[1-9][0-9]{{0,3}})\.json")
_RECOVERY: Final = re.compile(rf"{_NODE}/recovery\.note")
_ROSTER: Final = re.compile(r"roster/(?P<serial>[0-9]{8})\.note")
_CUSTODY: Final = re.compile(r"custody/(?P<serial>[0-9]{8})\.note")
_REHEARSAL: Final = re.compile(r"rehearsal/(?P<at_us>[0-9]{16})\.note")


@dataclass(frozen=True, slots=True, order=True)
class SegmentKey:
    """A segment of `node`: `count` entries from entry index `first` on."""

    node: str
    level: str
    first: int
    count: int

    def __str__(self) -> str:
        return f"{segments_from(self.node, self.first, level=self.level)}-{self.count}.segment"

    @property
    def end(self) -> int:
        """The tree size that the segment reaches: the index after its last entry."""
        return self.first + self.count


@dataclass(frozen=True, slots=True, order=True)
class TileKey:
    """A full hash tile of `node`: `level` 0 holds leaf hashes, `number` counts tiles of a level from 0."""

    node: str
    level: int
    number: int

    def __str__(self) -> str:
        groups = [f"{self.number % 1000:03d}"]
        rest = self.number // 1000
        while rest:
            groups.append(f"x{rest % 1000:03d}")
            rest //= 1000
        return f"{self.node}/tile/{self.level}/{'/'.join(reversed(groups))}"


@dataclass(frozen=True, slots=True, order=True)
class AttachmentKey:
    """An encrypted attachment of `node`, named by the SHA-256 (64 hex digits) of what is stored."""

    node: str
    digest: str

    def __str__(self) -> str:
        return f"{self.node}/attachment/{self.digest}"


@dataclass(frozen=True, slots=True, order=True)
class CosignatureKey:
    """A checkpoint of `node` at `tree_size` entries with the statement of a witness, whose key has the id `key_id`."""

    node: str
    tree_size: int
    key_id: str

    def __str__(self) -> str:
        return f"{cosignatures_from(self.node, self.tree_size)}-{self.key_id}.note"


@dataclass(frozen=True, slots=True, order=True)
class RosterKey:
    """The `serial`-th roster note; the highest is the present one."""

    serial: int

    def __str__(self) -> str:
        return f"roster/{self.serial:08d}.note"


@dataclass(frozen=True, slots=True, order=True)
class ManifestKey:
    """The signed manifest of the `serial`-th snapshot of the view of `node`; the highest is the newest."""

    node: str
    serial: int

    def __str__(self) -> str:
        return f"{manifests_prefix(self.node)}{self.serial:08d}.manifest"


@dataclass(frozen=True, slots=True, order=True)
class MapKey:
    """A chunk of a page map of `node`, named by the SHA-256 (64 hex digits) of what is stored."""

    node: str
    digest: str

    def __str__(self) -> str:
        return f"{self.node}/map/{self.digest}"


@dataclass(frozen=True, slots=True, order=True)
class PackKey:
    """A pack of encrypted pages of the view of `node`; `name` is as `pack_name` makes it."""

    node: str
    name: str

    def __str__(self) -> str:
        return f"{self.node}/pack/{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class CustodyKey:
    """The `serial`-th custody note; the highest that verifies is in force."""

    serial: int

    def __str__(self) -> str:
        return f"custody/{self.serial:08d}.note"


@dataclass(frozen=True, slots=True, order=True)
class RehearsalKey:
    """The certificate of the rehearsal that ended at `at_us` (microseconds since 1970 UTC)."""

    at_us: int

    def __str__(self) -> str:
        return f"{REHEARSAL_PREFIX}{self.at_us:016d}.note"


@dataclass(frozen=True, slots=True, order=True)
class RecoveryKey:
    """The signed report of the recovery that made `node`."""

    node: str

    def __str__(self) -> str:
        return f"{self.node}/recovery.note"


@dataclass(frozen=True, slots=True, order=True)
class AlarmKey:
    """The `number`-th alarm of `node` since its start, about what was first seen at `at_us` (microseconds since 1970
    UTC)."""

    node: str
    at_us: int
    number: int

    def __str__(self) -> str:
        return f"{self.node}/alarm/{self.at_us:016d}-{self.number}.json"


VaultKey = (
    SegmentKey | TileKey | AttachmentKey | CosignatureKey | RosterKey | CustodyKey | RecoveryKey | AlarmKey
    | ManifestKey | MapKey | PackKey | RehearsalKey
)


def pack_name(serial: int, drawn: bytes) -> str:
    """The name of a pack that is first used by snapshot `serial`; `drawn` are 16 random bytes, never used before."""
    return f"{serial:08d}-{drawn.hex()}"


def manifests_prefix(node: str) -> str:
    """The prefix under which `Vault.list` gives the manifests of `node` in the order of their serials."""
    return f"{node}/snapshot/"


def segments_prefix(node: str, *, level: str = "live") -> str:
    """The prefix under which `Vault.list` gives the segments of `node` in the order of their entries."""
    return f"{node}/{level}/"


def segments_from(node: str, first: int, *, level: str = "live") -> str:
    """What to give `Vault.list` as `after` for the segments that begin at entry `first` or later."""
    return f"{segments_prefix(node, level=level)}{first:012d}"


def cosignatures_from(node: str, tree_size: int) -> str:
    """What to give `Vault.list` as `after` for cosigned checkpoints of `node` at `tree_size` entries or more."""
    return f"{node}/cosignature/{tree_size:012d}"


_KINDS: Final[tuple[tuple[re.Pattern[str], type[VaultKey]], ...]] = (
    (_SEGMENT, SegmentKey), (_TILE, TileKey), (_ATTACHMENT, AttachmentKey), (_COSIGNATURE, CosignatureKey),
    (_MANIFEST, ManifestKey), (_MAP, MapKey), (_PACK, PackKey), (_ALARM, AlarmKey), (_RECOVERY, RecoveryKey),
    (_ROSTER, RosterKey), (_CUSTODY, CustodyKey), (_REHEARSAL, RehearsalKey),
)
"""The groups of each pattern are the fields of its kind."""
_NUMBERS: Final = {kind: frozenset(each.name for each in fields(kind) if each.type == "int") for _, kind in _KINDS}
_GROUPING: Final = str.maketrans("", "", "x/")


def parse(key: str) -> VaultKey | None:
    """The reverse of `str` on a key's dataclass; None for `hospital.json` and for whatever has no place here."""
    for pattern, kind in _KINDS:
        if found := pattern.fullmatch(key):
            numbers, make = _NUMBERS[kind], cast("Callable[..., VaultKey]", kind)
            made = make(**{
                name: int(text.translate(_GROUPING)) if name in numbers else text
                for name, text in found.groupdict().items()
            })
            return made if str(made) == key else None
    return None


def is_key(text: str) -> bool:
    """Whether `text` may name an object: relative, parts of `[a-z0-9._-]` that do not begin with a dot."""
    return len(text) <= VAULT_KEY_CHARS_MAX and all(
        len(part) <= VAULT_KEY_PART_CHARS_MAX and _PART.fullmatch(part) for part in text.split("/")
    )


def check_key(text: str) -> None:
    """Raise InvalidInput unless `text` may name an object of a vault."""
    if not is_key(text):
        raise InvalidInput(
            f"Not a vault key: {text[:80]!r}. A key has parts of a-z, 0-9, '.', '_' and '-' between slashes, none of "
            f"them empty or beginning with a dot, {VAULT_KEY_PART_CHARS_MAX} characters a part, "
            f"{VAULT_KEY_CHARS_MAX} in all"
        )
