"""A vault in an S3 bucket with Object Lock: `s3://bucket/prefix`.

What is stored is locked in compliance mode until its retention ends: nobody can delete it or shorten the lock, the
account's owner included. But who holds the node's credentials can put a newer version over a key, or (with a right
that `s3_protection` refuses) hide it under a delete marker. So readers never ask for "the object": they take its
oldest version, and of several the oldest that is what its key says, where a key says it. Delete markers are ignored.

That costs no request in the ordinary case: a listing of versions is as cheap as one of objects, and what it told of a
key is remembered until the key is read.
"""

from __future__ import annotations

from base64 import b64encode
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from itertools import groupby
from typing import Any, Final

from nirantar import limits
from nirantar.errors import Conflict, NotFound, SegmentDamaged, SetupError
from nirantar.host.port import Host
from nirantar.vault.keys import AttachmentKey, SegmentKey, check_key, is_key, parse
from nirantar.vault.retention import Retention
from nirantar.vault.s3_address import S3Address, S3Credentials
from nirantar.vault.s3_protection import require_protection
from nirantar.vault.s3_requests import Refused, S3Requests
from nirantar.vault.segments import check_sealed

WARNING_LOOPBACK: Final = "not safe from this machine's administrator"
LOCK_MODE: Final = "COMPLIANCE"


class S3Vault:
    """Objects below a prefix of a bucket; any number of threads may use it."""

    def __init__(
        self, host: Host, address: S3Address, *, credentials: S3Credentials | None = None,
        retention: Retention | None = None,
    ) -> None:
        """Use the vault at `address`. Nothing is asked of it yet."""
        self._host = host
        self._address = address
        self._requests = S3Requests(host, address, credentials)
        self._retention = retention or Retention()
        self._oldest: dict[str, tuple[str, ...]] = {}
        self._unfit: SetupError | None = None
        self._unfit_until_us = 0

    @property
    def location(self) -> str:
        """`s3://bucket/prefix?endpoint=…&region=…`."""
        return str(self._address)

    @property
    def warning(self) -> str | None:
        """A server on this machine protects from nobody who administers it."""
        return WARNING_LOOPBACK if self._address.on_this_machine else None

    def require_protection(self) -> str:
        """Ask the server whether it keeps its locks, and whether these credentials could undo anything; see the port.

        What was refused is refused again for a minute without asking.
        """
        if self._unfit is not None and self._host.monotonic_us() < self._unfit_until_us:
            raise self._unfit
        try:
            require_protection(self._host, self._requests)
        except SetupError as unfit:
            self._unfit = unfit
            self._unfit_until_us = self._host.monotonic_us() + int(limits.S3_EXAMINATION_SECONDS * 1e6)
            raise
        self._unfit = None
        return f"{self._address.name} keeps its locks, and these credentials can neither delete nor change that"

    def put_new(self, key: str, data: bytes) -> None:
        """Store a new object durably, locked for as long as its kind is retained; see the port."""
        check_key(key)
        # A known key is not tried: the server would take it where a delete marker hides what is there.
        if key not in self._oldest and self._put(key, data, IfNoneMatch="*"):
            return
        found = self._present(key)
        if found == data:
            # Also where an attempt whose answer was lost had stored it.
            return
        if _tells_of_its_bytes(key) and _is_what_its_key_says(key, data) and not _is_what_its_key_says(key, found):
            # Somebody was here before the node with something else; readers pass over that.
            self._oldest.pop(key, None)
            self._put(key, data)
            found = self._present(key)
        if found != data:
            raise Conflict(
                f"{self._address.name} already holds other bytes under {key}; vault objects are never overwritten"
            )

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of an object, or of a range of it; see the port.

        Of a key with several versions the oldest, or for a whole segment or attachment the oldest that is one: who
        stored something else there before the node did has not taken its place.
        """
        check_key(key)
        versions = self._oldest.get(key) or self._look_up(key)
        try:
            return self._read(key, versions, start, length)
        except NotFound:
            # A remembered version may be gone once its lock has ended.
            self._oldest.pop(key, None)
            return self._read(key, self._look_up(key), start, length)

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Keys in order, those under delete markers included; see the port. A request for each thousand versions."""
        if after > prefix and not after.startswith(prefix):
            return
        for key, versions in self._versions(prefix, after):
            if is_key(key):
                self._remember(key, versions)
                yield key

    def _put(self, key: str, data: bytes, **condition: str) -> bool:
        """Store it with its lock; False where the condition does not hold."""
        try:
            self._requests.call(
                "put_object", key, Key=self._address.object_name(key), Body=data, ObjectLockMode=LOCK_MODE,
                ChecksumSHA256=b64encode(sha256(data).digest()).decode(),
                ObjectLockRetainUntilDate=_date(self._retention.until_us(key, self._host.now_us())), **condition,
            )
        except Refused as refusal:
            if refusal.status == 412:
                return False
            raise self._requests.failed(key, refusal) from None
        return True

    def _present(self, key: str) -> bytes:
        try:
            return self.get(key)
        except NotFound:
            raise self._requests.unavailable(key, "the server neither takes it nor has it.") from None

    def _read(self, key: str, versions: tuple[str, ...], start: int, length: int | None) -> bytes:
        whole = start == 0 and length is None
        first: bytes | None = None
        for version in versions:
            data = self._one_version(key, version, start, length)
            if len(versions) == 1 or not whole or _is_what_its_key_says(key, data):
                return data
            first = data if first is None else first
        assert first is not None
        return first

    def _one_version(self, key: str, version: str, start: int, length: int | None) -> bytes:
        parameters: dict[str, Any] = {"Key": self._address.object_name(key), "VersionId": version}
        if start or length is not None:
            # An empty range cannot be asked for; one byte tells as well whether the object is there.
            end = "" if length is None else start + max(length, 1) - 1
            parameters["Range"] = f"bytes={start}-{end}"
        try:
            found = self._requests.body(key, **parameters)
        except Refused as refusal:
            if refusal.status == 416:
                return b""
            raise self._requests.failed(key, refusal) from None
        return found if length is None else found[:length]

    def _look_up(self, key: str) -> tuple[str, ...]:
        for found, versions in self._versions(key, "", exactly=True):
            if found == key:
                self._remember(key, versions)
                return versions
        raise NotFound(f"{self._address.name} has no object {key}")

    def _remember(self, key: str, versions: tuple[str, ...]) -> None:
        if len(self._oldest) >= limits.S3_VERSIONS_REMEMBERED_MAX:
            self._oldest.clear()
        self._oldest[key] = versions

    def _versions(self, prefix: str, after: str, *, exactly: bool = False) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Each key with its versions, oldest first; with `exactly`, the first that is listed alone."""
        below = f"{self._address.prefix}/" if self._address.prefix else ""
        # Within one directory only: SeaweedFS compares a marker with directories' names, not with whole keys, and
        # would leave out "opd/…" after "opd-1/…". Nothing that resumes a listing looks further.
        resumed = after > prefix and "/" not in after[len(prefix) :]
        listed = self._pages(below + prefix, below + after if resumed else "", exactly=exactly)
        for name, same in groupby(listed, key=lambda each: each[0]):
            key = name.removeprefix(below)
            if key > after:
                # The server lists the newest first.
                last = deque((version for _, version in same), maxlen=limits.S3_VERSIONS_TRIED_MAX)
                yield key, tuple(reversed(last))
            if exactly:
                return

    def _pages(self, prefix: str, after: str, *, exactly: bool) -> Iterator[tuple[str, str]]:
        """Names and versions as the server lists them, page by page. Delete markers are left out."""
        parameters: dict[str, Any] = {"Prefix": prefix}
        if after:
            parameters["KeyMarker"] = after
        if exactly:
            parameters["MaxKeys"] = limits.S3_VERSIONS_TRIED_MAX
        while True:
            try:
                page = self._requests.call("list_object_versions", "", **parameters)
            except Refused as refusal:
                raise self._requests.failed("", refusal) from None
            for each in page.get("Versions", ()):
                yield each["Key"], each["VersionId"]
            if not page.get("IsTruncated"):
                return
            marker = (page.get("NextKeyMarker"), page.get("NextVersionIdMarker"))
            if marker == (parameters.get("KeyMarker"), parameters.get("VersionIdMarker")) or marker[0] is None:
                raise self._requests.unavailable("", "the server's listing does not go on where it ended.")
            if exactly and marker[0] != prefix:
                return
            parameters["KeyMarker"] = marker[0]
            # A flood of versions is gone through in whole pages.
            parameters.pop("MaxKeys", None)
            parameters.pop("VersionIdMarker", None)
            if marker[1]:
                parameters["VersionIdMarker"] = marker[1]


def _tells_of_its_bytes(key: str) -> bool:
    """Whether it can be told by the key alone what belongs under it."""
    return isinstance(parse(key), AttachmentKey | SegmentKey)


def _is_what_its_key_says(key: str, data: bytes) -> bool:
    """Whether the bytes fit what can be told of them by their key alone."""
    named = parse(key)
    if isinstance(named, AttachmentKey):
        return sha256(data).hexdigest() == named.digest
    if isinstance(named, SegmentKey):
        try:
            check_sealed(data, key=key)
        except SegmentDamaged:
            return False
    return True


def _date(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us // 1_000_000, tz=UTC)
