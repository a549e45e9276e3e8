"""The keeper: a vault that only adds, and the witness of the logs in it (DESIGN's "put-only server").

It has no key that opens anything. What it takes, it can check: an object under a log's name is one that a checkpoint
covers which it has cosigned, and it cosigns only what extends all it cosigned before. Order of writing, so that a death
at any moment loses nothing that was acknowledged: leaf hashes and tiles that are proven, then the object, then the
answer. Hashes without their object are no harm; an object whose hashes are unknown could never be followed.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock, RLock
from typing import Final

from nirantar import limits
from nirantar.continuity.alarm import told_by_node
from nirantar.continuity.keeping.admission import Admission, Admitted
from nirantar.continuity.keeping.alarms import AlarmKind, Alarms
from nirantar.continuity.keeping.expiry import Expiry
from nirantar.continuity.keeping.mirror import Mirror
from nirantar.continuity.keeping.quota import Quotas
from nirantar.continuity.keeping.records import Head, Records, TokenKind
from nirantar.continuity.keeping.register import Register
from nirantar.continuity.keeping.rules import Bearer, Rules
from nirantar.continuity.keeping.status import KeeperStatus, LogStatus
from nirantar.continuity.keeping.witness import open_submitted, require_extends
from nirantar.errors import (
    Conflict,
    Damaged,
    DiskFull,
    Forbidden,
    FsyncFailed,
    NotFound,
    NotSignedIn,
    Overloaded,
    ProofInvalid,
    SegmentDamaged,
    WitnessConflict,
)
from nirantar.host.port import Host
from nirantar.host.times import instant
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.cosignature import Cosigner
from nirantar.tlog.note import Verifier, add_signatures
from nirantar.tlog.submission import parse_submission
from nirantar.vault.keys import AlarmKey, SegmentKey, check_key, parse
from nirantar.vault.port import Vault
from nirantar.vault.segments import read_header

_SECRET_BYTES: Final = 32
_FRESH_US: Final = 86_400_000_000
"""For how long an alarm keeps the status red."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a keeper is made of: where it stores, as whom it signs, and who decides what."""

    vault: Vault
    name: str
    cosigners: Sequence[Cosigner]
    register: Register
    records: Records
    rules: Rules
    admission: Admission
    quotas: Quotas
    alarms: Alarms
    expiry: Expiry
    mirror: Mirror | None = None


class Keeper:
    """All that the keeper does, for one thread at a time a log. The edge maps its errors to HTTP statuses."""

    def __init__(
        self, host: Host, directory: Path, parts: Parts, *, silence_minutes: int = limits.KEEPER_SILENCE_MINUTES
    ) -> None:
        """Composed by `app`; nothing is written yet."""
        self._host = host
        self._directory = directory
        self._vault = parts.vault
        self._name = parts.name
        self._cosigners = tuple(parts.cosigners)
        self._register = parts.register
        self._records = parts.records
        self._rules = parts.rules
        self._admission = parts.admission
        self._quotas = parts.quotas
        self._alarms = parts.alarms
        self._expiry = parts.expiry
        self._mirror = parts.mirror
        self._expired_us: int | None = None
        self._silence_us = silence_minutes * 60_000_000
        self._turn = Lock()
        self._turns: defaultdict[str, RLock] = defaultdict(RLock)
        self._heard: dict[str, int] = parts.records.heard()
        self._fresh: set[str] = set()
        self._silent: set[str] = set()

    # --- who calls ---

    def add_token(self, kind: TokenKind, name: str) -> str:
        """A new bearer token, shown this once; its hash alone is kept."""
        secret = urlsafe_b64encode(self._host.random_bytes(_SECRET_BYTES)).rstrip(b"=").decode()
        self._records.add_token(sha256(secret.encode()).digest(), kind, name)
        return secret

    def bearer(self, token: str | None) -> Bearer:
        """Whose token this is. Raises NotSignedIn, and alarms where a token was shown that nobody was given."""
        found = None if token is None else self._records.token(sha256(token.encode()).digest())
        if found is None:
            if token is not None:
                self._alarms.raise_alarm("stranger", "", "Somebody calls with a token that this keeper did not issue.")
            raise NotSignedIn("This keeper needs a token that its operator issued: Authorization: Bearer …")
        kind, name = found
        if kind == "recovery":
            # Issued for an hour of need: nothing may slow it down.
            return Bearer("recovery", name)
        try:
            self._quotas.take_call(name, self._host.monotonic_us())
        except Overloaded as flood:
            self._alarms.raise_alarm("flood", name, str(flood))
            raise
        self._hear(name)
        return Bearer("node", name)

    def require_slow(self, token: str | None) -> None:
        """Count a call that needs no token: on its bearer where it has one that was issued, else on all strangers
        together. Raises Overloaded, and alarms."""
        if token is not None and self._records.token(sha256(token.encode()).digest()) is not None:
            self.bearer(token)
            return
        try:
            self._quotas.take_stranger_call(self._host.monotonic_us())
        except Overloaded as flood:
            self._alarms.raise_alarm("flood", "", str(flood))
            raise

    # --- objects ---

    def require_may_put(self, bearer: Bearer, key: str, size: int) -> None:
        """Refuse what can be refused before a byte of the object has come.

        Raises InvalidInput (no key), Forbidden, LimitExceeded, Overloaded and DiskFull (rate, space).
        """
        check_key(key)
        try:
            self._rules.require_put(bearer, key, size)
        except Forbidden as refusal:
            self._alarms.raise_alarm("closed" if "closed" in str(refusal) else "trespass", bearer.account, str(refusal))
            raise
        try:
            if self._host.files.free_bytes(self._directory) - size < limits.KEEPER_FREE_BYTES_MIN:
                raise DiskFull(
                    f"The keeper's disk has fewer than {limits.KEEPER_FREE_BYTES_MIN} bytes (KEEPER_FREE_BYTES_MIN)."
                )
            stored = self._records.account(bearer.account).bytes
            self._quotas.take_bytes(bearer.account, size, stored, self._host.monotonic_us())
        except (Overloaded, DiskFull) as flood:
            self._alarms.raise_alarm("flood", bearer.account, str(flood))
            raise

    def put(self, bearer: Bearer, key: str, data: bytes) -> bool:
        """Check and store an object that `require_may_put` let through; False when these very bytes were there.

        Raises Conflict for other bytes under a key that is taken, and for a segment that is not the next; Damaged and
        its kin for what does not fit the cosigned log.
        """
        with self._log(key.partition("/")[0]):
            if self._there(bearer, key, data):
                return False
            try:
                admitted = self._admission.admit(key, data)
            except Damaged as forgery:
                self._alarms.raise_alarm("forgery", bearer.account, str(forgery))
                raise
            named = parse(key)
            if isinstance(named, AlarmKey):
                # Before it is stored: a death in between may tell twice, but never not at all.
                self._alarms.raise_alarm("intrusion", named.node, told_by_node(named.node, data))
            self._store(bearer, key, data, admitted)
            return True

    def get(self, bearer: Bearer, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of an object. Raises InvalidInput, Forbidden, NotFound."""
        check_key(key)
        self._rules.require_get(bearer, key)
        return self._vault.get(key, start, length)

    def list(self, bearer: Bearer, prefix: str, after: str) -> list[str]:
        """At most KEEPER_LIST_KEYS_MAX keys that begin with `prefix` and sort after `after`. Raises Forbidden."""
        self._rules.require_get(bearer, prefix)
        keys = self._vault.list(prefix, after=after)
        return [key for key, _ in zip(keys, range(limits.KEEPER_LIST_KEYS_MAX), strict=False)]

    def refuse_method(self, token: str | None, method: str, key: str) -> None:
        """Somebody asks for what no path does: to delete, replace, move. Alarms."""
        found = None if token is None else self._records.token(sha256(token.encode()).digest())
        self._alarms.raise_alarm(
            "delete", "" if found is None else found[1], f"{method} of {key[:200]} was tried. A keeper only adds."
        )

    # --- the witness ---

    def add_checkpoint(self, body: bytes, token: str | None) -> bytes:
        """C2SP tlog-witness's add-checkpoint: the cosignature lines, once the checkpoint is durably the newest.

        A node that shows its token is heard by it. Raises what `witness` names, NotFound for a log of no roster.
        """
        if token is not None:
            self.bearer(token)
        submission = parse_submission(body)
        grant = self._register.grant(submission.origin)
        if grant is None:
            raise NotFound("No roster of this keeper names that log.")
        checkpoint, note = open_submitted(submission, Verifier.parse(grant.vkey))
        if grant.last_size is not None and checkpoint.tree_size > grant.last_size:
            what = f"A recovery closed this log at {grant.last_size} entries; {checkpoint.tree_size} were offered."
            self._alarms.raise_alarm("closed", grant.node, what)
            raise Forbidden(what)
        with self._log(grant.node):
            try:
                with self._records.change():
                    require_extends(self._records.head(grant.origin), submission, checkpoint)
                    seconds = self._host.now_us() // 1_000_000
                    signatures = [cosigner.cosign(checkpoint, seconds) for cosigner in self._cosigners]
                    head = Head(checkpoint.tree_size, checkpoint.root_hash)
                    self._records.put_head(grant.origin, head, add_signatures(note, signatures))
            except (WitnessConflict, ProofInvalid) as refusal:
                self._suspect(grant.node, checkpoint, note, refusal)
                raise
        return "".join(f"{signature.line}\n" for signature in signatures).encode()

    def cosigned(self, origin_sha256: str) -> bytes:
        """The newest cosigned checkpoint of the log whose origin has this hash (hex). Raises NotFound."""
        for origin in self._register.roster.by_origin():
            if sha256(origin.encode()).hexdigest() == origin_sha256:
                note = self._records.newest_note(origin)
                if note is not None:
                    return note
        raise NotFound("This keeper has cosigned no checkpoint of that log.")

    # --- looking after it ---

    def look_round(self) -> None:
        """Every few seconds: alarm on nodes that fell silent, write down who was heard, and each hour let expire what
        merged segments replace."""
        now_us = self._host.now_us()
        with self._turn:
            heard = {name: self._heard[name] for name in self._fresh}
            self._fresh.clear()
        if heard:
            self._records.put_heard(heard)
        for node in self._silent_nodes(now_us) - self._silent:
            self._silent.add(node)
            minutes = (now_us - self._heard[node]) // 60_000_000
            self._alarms.raise_alarm("silence", node, f"{node} was heard last {minutes} minutes ago.")
        self._expire()

    def status(self) -> KeeperStatus:
        """What `/status` and `nirantar keeper status` show."""
        now_us = self._host.now_us()
        silent = self._silent_nodes(now_us)
        logs = []
        for grant in self._register.roster.grants:
            head, account = self._records.head(grant.origin), self._records.account(grant.node)
            heard_us = self._heard.get(grant.node)
            logs.append(LogStatus(
                grant.node, grant.origin, 0 if head is None else head.tree_size, self._records.known(grant.origin)[0],
                grant.last_size, account.bytes, account.objects, None if heard_us is None else instant(heard_us),
                grant.node in silent,
            ))
        alarms = tuple(self._alarms.latest())
        fresh = any(alarm.at > instant(now_us - _FRESH_US) for alarm in alarms)
        return KeeperStatus(
            ok=not silent and not fresh, hospital=self._register.slug, name=self._name,
            vkeys=tuple(cosigner.vkey for cosigner in self._cosigners), roster_serial=self._register.roster.serial,
            logs=tuple(logs), free_bytes=self._host.files.free_bytes(self._directory), alarms=alarms,
            mirror=None if self._mirror is None else self._mirror.status(),
        )

    def _expire(self) -> None:
        now_us = self._host.monotonic_us()
        if self._expired_us is not None and now_us - self._expired_us < limits.KEEPER_EXPIRY_INTERVAL_SECONDS * 1e6:
            return
        self._expired_us = now_us
        for grant in self._register.roster.grants:
            with self._log(grant.node):
                self._expiry.expire(grant.node)

    @contextmanager
    def _log(self, part: str) -> Iterator[None]:
        """One change at a time to one node's part; parts are bounded by the roster, all others share a turn."""
        with self._turn:
            turn = self._turns[part if self._register.grant_of_node(part) else ""]
        with turn:
            yield

    def _there(self, bearer: Bearer, key: str, data: bytes) -> bool:
        """Whether these bytes are stored already. Raises Conflict for other ones, and alarms unless they only are the
        same entries sealed again, which a node does that got no answer."""
        try:
            held = self._vault.get(key)
        except NotFound:
            return False
        if held == data:
            return True
        if not _same_entries(key, held, data):
            self._alarms.raise_alarm("overwrite", bearer.account, f"Other bytes were offered for {key}.")
        raise Conflict(f"{key} is taken by other bytes; nothing in a keeper is ever overwritten.")

    def _store(self, bearer: Bearer, key: str, data: bytes, admitted: Admitted) -> None:
        for tile, hashes in admitted.tiles:
            self._vault.put_new(str(tile), hashes)
        with self._records.change():
            self._records.charge(bearer.account, len(data))
            if admitted.tree is not None:
                self._records.put_known(admitted.origin, admitted.tree.size, admitted.tree.edges)
            if admitted.segment is not None:
                self._records.put_segment(admitted.segment.node, key, len(data))
            if self._mirror is not None:
                for each in (*(str(tile) for tile, _ in admitted.tiles), key):
                    self._records.note_unmirrored(each)
        self._vault.put_new(key, data)
        if admitted.roster is not None:
            self._register.take(admitted.roster)
        if admitted.custody is not None:
            self._register.take_custody(admitted.custody)
        self._admission.stored(key)

    def _suspect(self, node: str, checkpoint: Checkpoint, note: bytes, refusal: Exception) -> None:
        """Tell a fork and a rewind from a caller who only asks how far the log was cosigned. The log itself signed."""
        origin = checkpoint.origin
        held, root_there = self._records.head(origin), self._records.root_at(origin, checkpoint.tree_size)
        last = 0 if held is None else held.tree_size
        if (root_there is not None and root_there != checkpoint.root_hash) or isinstance(refusal, ProofInvalid):
            kind: AlarmKind = "fork"
            what = (
                f"{node} signed a log of {checkpoint.tree_size} entries that does not extend, or comes without proof "
                f"that it extends, the {last} that were cosigned."
            )
        elif checkpoint.tree_size < last:
            kind = "rewind"
            what = f"{node} signed a log of {checkpoint.tree_size} entries, but {last} were cosigned."
        else:
            return
        self._keep_evidence(kind, node, checkpoint, note)
        self._alarms.raise_alarm(kind, node, what)

    def _keep_evidence(self, kind: str, node: str, checkpoint: Checkpoint, note: bytes) -> None:
        """Keep the signed note: with the cosigned one it proves to anybody that the key signed two logs."""
        folder = self._directory / "evidence"
        digest = sha256(note).hexdigest()[:16]
        path = folder / f"{kind}-{node}-{checkpoint.tree_size}-{digest}.note"
        if sum(1 for _ in self._host.files.walk(folder)) >= limits.KEEPER_EVIDENCE_FILES_MAX:
            return
        # Without it the alarm still tells; a disk that broke its promise shows at the next commit.
        with suppress(DiskFull, FsyncFailed, FileExistsError):
            self._host.files.make_directory(folder)
            self._host.files.put_new(path, note, mode=0o440)

    def _hear(self, node: str) -> None:
        with self._turn:
            self._heard[node] = self._host.now_us()
            self._fresh.add(node)
            self._silent.discard(node)

    def _silent_nodes(self, now_us: int) -> set[str]:
        """Nodes of the roster that were heard once, are not closed, and have been silent for too long."""
        with self._turn:
            heard = dict(self._heard)
        return {
            grant.node for grant in self._register.roster.grants
            if grant.last_size is None and grant.node in heard and now_us - heard[grant.node] > self._silence_us
        }


def _same_entries(key: str, held: bytes, data: bytes) -> bool:
    if not isinstance(parse(key), SegmentKey):
        return False
    try:
        return read_header(held, key=key).leaf_hashes == read_header(data, key=key).leaf_hashes
    except SegmentDamaged:
        return False
