"""What a recovery that is still under way keeps in the node's directory (docs/format.md, A node's directory).

`recovery.json` is there from before the node first serves until everything is here and proven. With it a restart goes
on without the recovery identity: it has the snapshot's manifest and data keys, and the entries that followed the
snapshot lie beside it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from nirantar.continuity.log_reading import Gap, Step
from nirantar.continuity.recovery_record import RecordedFinding, RecordedLog
from nirantar.continuity.replay import KeptEntry
from nirantar.continuity.snapshot_choice import UsableSnapshot
from nirantar.errors import Damaged, Finding
from nirantar.host.port import Host
from nirantar.limits import BATCH_BYTES_MAX
from nirantar.tlog.merkle import leaf_hash
from nirantar.tlog.note import Verifier
from nirantar.vault.manifests import Manifest

RECOVERY_FILE: Final = "recovery.json"
TAIL_DIRECTORY: Final = "recovery"
_VERSION: Final = 1
_LOST: Final = b"-"


class Tail(msgspec.Struct, frozen=True):
    """Entries [first, end) of a log lie beside the state; the log was closed at `end`."""

    first: int
    end: int


class WholeLog(msgspec.Struct, frozen=True):
    """A log that the journal holds whole, as the signed report will have it, and how much of it a signature proves."""

    recorded: RecordedLog
    verified: int


class RecoveryState(msgspec.Struct, frozen=True):
    """`manifest` is the signed note of the snapshot `serial` of `node`; `journalled` whether that node's log names it;
    `data_keys` by epoch in base64; `tails` by origin; `newest_clock` the highest clock reading in them; `complete` the
    logs that the journal holds whole; with `rebuild` the next start folds the view anew from them. `began_us` and
    `findings` are for the signed report."""

    v: int
    node: str
    serial: int
    manifest: str
    journalled: bool
    data_keys: dict[str, str]
    tails: dict[str, Tail]
    newest_clock: str
    complete: dict[str, WholeLog]
    began_us: int
    findings: list[RecordedFinding]
    rebuild: bool = False

    @property
    def snapshot_name(self) -> str:
        """What tells the snapshot from every other."""
        return sha256(self.manifest.encode()).hexdigest()

    def open_manifest(self, verifier: Verifier, slug: str) -> Manifest:
        """The manifest. Raises SnapshotDamaged."""
        return Manifest.open(self.manifest.encode(), verifier, slug=slug, node=self.node, serial=self.serial)

    def keys(self) -> dict[int, bytes]:
        """The data keys by epoch."""
        return {int(epoch): base64.b64decode(key) for epoch, key in self.data_keys.items()}

    def completed(self, log: WholeLog, findings: Iterable[Finding]) -> RecoveryState:
        """The state once the journal holds that log whole, with what was found in it."""
        return msgspec.structs.replace(
            self, complete={**self.complete, log.recorded.origin: log}, findings=_noted(self.findings, findings)
        )


def _noted(noted: Sequence[RecordedFinding], findings: Iterable[Finding]) -> list[RecordedFinding]:
    """What was noted before, and each new finding once."""
    more = (RecordedFinding(each.where, each.what, each.kind) for each in findings)
    return list(dict.fromkeys([*noted, *more]))


def begun(snapshot: UsableSnapshot, data_keys: Mapping[int, bytes], now_us: int) -> RecoveryState:
    """The state with which a recovery begins."""
    keys = {str(epoch): base64.b64encode(key).decode() for epoch, key in data_keys.items()}
    tails = {origin: Tail(tail.first, tail.reading.size) for origin, tail in snapshot.tails.items()}
    manifest = snapshot.manifest
    return RecoveryState(
        _VERSION, manifest.node, manifest.serial, snapshot.note.decode(), snapshot.journalled, keys, tails,
        str(snapshot.newest_clock), {}, now_us, [],
    )


class RecoveryFiles:
    """The files of a recovery in a node's directory."""

    def __init__(self, host: Host, directory: Path) -> None:
        self._host = host
        self._path = directory / RECOVERY_FILE
        self._tails = directory / TAIL_DIRECTORY

    def read(self) -> RecoveryState | None:
        """The state; None where no recovery is under way. Raises Damaged."""
        try:
            state = msgspec.json.decode(self._host.files.read(self._path), type=RecoveryState)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as reason:
            raise Damaged(f"{self._path} cannot be read ({reason}): recover anew into another directory.") from None
        if state.v != _VERSION:
            raise Damaged(f"{self._path} has format {state.v}; this program reads {_VERSION}.")
        return state

    def keep(self, state: RecoveryState) -> None:
        """Write the state, readable by the owner only: it holds the snapshot's keys."""
        self._host.files.replace(self._path, msgspec.json.encode(state))

    def keep_findings(self, findings: Iterable[Finding]) -> None:
        """Note what was found before there were logs to fill."""
        state = self.read()
        if state is not None and findings:
            self.keep(msgspec.structs.replace(state, findings=_noted(state.findings, findings)))

    def keep_tail(self, origin: str, steps: Iterable[Step | Gap]) -> Iterator[Step | Gap]:
        """Write the entries that follow the snapshot as they pass."""
        path = self._tail_path(origin)
        self._host.files.make_directory(self._tails)
        lines: list[bytes] = []
        size = 0
        for step in steps:
            lines += [_LOST] * (step.stop - step.start) if isinstance(step, Gap) else [_line(step)]
            size += len(lines[-1])
            if size > BATCH_BYTES_MAX:
                self._host.files.append(path, b"".join(line + b"\n" for line in lines))
                lines, size = [], 0
            yield step
        if lines:
            self._host.files.append(path, b"".join(line + b"\n" for line in lines))

    def tail(self, origin: str, tail: Tail) -> Sequence[KeptEntry]:
        """The entries that follow the snapshot: (index, bytes, leaf hash). Raises Damaged where some are gone."""
        path = self._tail_path(origin)
        if tail.first == tail.end:
            return ()
        try:
            lines = self._host.files.read(path).split(b"\n")[:-1]
        except FileNotFoundError:
            lines = []
        if len(lines) != tail.end - tail.first:
            raise Damaged(f"{path} has {len(lines)} entries where {tail.end - tail.first} are expected.")
        return [_kept(tail.first + place, line) for place, line in enumerate(lines)]

    def remove(self) -> None:
        """The recovery is over."""
        files = self._host.files
        files.remove(self._path)
        for left in list(files.walk(self._tails)):
            files.remove(left)

    def _tail_path(self, origin: str) -> Path:
        return self._tails / f"{origin.rpartition('/')[2]}.entries"


def _line(step: Step) -> bytes:
    """One line of a tail's file: the entry, or, where its bytes are lost, a dash and its leaf hash."""
    return _LOST + step.leaf_hash.hex().encode() if step.data is None else step.data


def _kept(index: int, line: bytes) -> KeptEntry:
    if line.startswith(_LOST):
        return index, b"", bytes.fromhex(line[1:].decode())
    return index, line, leaf_hash(line)
