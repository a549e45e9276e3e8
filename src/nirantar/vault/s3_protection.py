"""Whether a bucket protects what is stored in it from whoever holds the node's credentials. Asked, not believed.

Two small objects are kept for it beside the vault's own, under names that no key can have: one under a lock, one whose
lock has ended. An honest server refuses to delete the first or to shorten its lock, whatever the credentials allow; it
deletes the second if they may delete. The other rights that could undo the protection are tried with requests that
change nothing where they are granted. Twelve requests, and three more the first time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from threading import Event
from typing import Any, Final

from nirantar import limits
from nirantar.errors import SetupError
from nirantar.host.port import Host
from nirantar.vault.s3_requests import Refused, S3Requests

LOCKED_PROBE: Final = ".nirantar-probe-locked"
FREE_PROBE: Final = ".nirantar-probe-free"
_NEVER_MATCHES: Final = ".nirantar-probe-of-a-right"
_STILL_LOCKED: Final = timedelta(minutes=10)
_UNKNOWN_HERE: Final = frozenset({405, 501})


@dataclass(frozen=True, slots=True)
class _Probe:
    """One version of a probe: its id, and when its lock ends by the server's clock (None: it has none)."""

    name: str
    version: str
    locked_until: datetime | None


@dataclass(slots=True)
class _Examination:
    """One run through the questions. `now` is the server's clock, since its locks go by that."""

    requests: S3Requests
    now: datetime
    allowed: list[str]

    def run(self) -> None:
        """Ask everything. Raises SetupError for a server that keeps no locks; rights go into `allowed`."""
        self._require_lock_and_versions()
        locked = self._probe(LOCKED_PROBE, self._is_locked, timedelta(days=limits.RETAIN_DAYS_MIN))
        if not self._is_locked(locked):
            raise self._unfit(
                "it does not say that a locked object is locked. Grant s3:GetObjectRetention, and use a server that "
                "keeps the lock that comes with an object"
            )
        if self._may("delete_object", Key=locked.name, VersionId=locked.version):
            raise self._unfit("it deleted an object under a lock: its Object Lock is none")
        sooner = {"Mode": "COMPLIANCE", "RetainUntilDate": self.now + _STILL_LOCKED / 2}
        if self._may("put_object_retention", Key=locked.name, VersionId=locked.version, Retention=sooner):
            raise self._unfit("it shortened a lock: its compliance mode is none")
        self._try_rights()

    def _try_rights(self) -> None:
        free = self._probe(FREE_PROBE, lambda probe: probe.locked_until is None or probe.locked_until < self.now, None)
        if free.locked_until is not None and free.locked_until >= self.now:
            # A second more: servers count locks in whole ones.
            Event().wait((free.locked_until - self.now).total_seconds() + 1.0)
        self._note("s3:DeleteObjectVersion", "delete_object", Key=free.name, VersionId=free.version)
        self._note("s3:DeleteObject", "delete_object", Key=free.name)
        self._note(
            "s3:PutBucketVersioning", "put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"}
        )
        # No policy: where it may be set, the server finds it malformed.
        self._note("s3:PutBucketPolicy", "put_bucket_policy", Policy="{}")
        self._note(
            "s3:PutLifecycleConfiguration", "put_bucket_lifecycle_configuration",
            LifecycleConfiguration=self._lifecycle(),
        )

    def _require_lock_and_versions(self) -> None:
        try:
            lock = self._ask("get_object_lock_configuration")
        except Refused as refusal:
            if refusal.status == 403 or refusal.code == "NoSuchBucket":
                raise self.requests.failed("reading its lock", refusal) from None
            raise self._unfit("its bucket has no Object Lock. Make a bucket with Object Lock enabled") from None
        if lock.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
            raise self._unfit("its bucket has no Object Lock. Make a bucket with Object Lock enabled")
        try:
            versioning = self._ask("get_bucket_versioning")
        except Refused as refusal:
            raise self.requests.failed("reading its versioning", refusal) from None
        if versioning.get("Status") != "Enabled":
            raise self._unfit("its bucket keeps no versions. Enable versioning")

    def _probe(self, key: str, fits: Callable[[_Probe], bool], lock: timedelta | None) -> _Probe:
        """The newest version of a probe, or a new one where that does not fit; `lock` None is one that ends at once."""
        name = self.requests.address.object_name(key)
        try:
            found = _as_probe(name, self._ask("head_object", Key=name))
            if fits(found):
                return found
        except Refused as refusal:
            if refusal.status != 404:
                raise self.requests.failed(key, refusal) from None
        until = self.now + (lock or timedelta(seconds=limits.S3_PROBE_LOCK_SECONDS))
        try:
            # Its own lock, however short, stands before the bucket's default one, which would never end here.
            stored = self._ask(
                "put_object", Key=name, Body=b"", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until
            )
            if lock is None:
                return _Probe(name, stored["VersionId"], until)
            return _as_probe(name, self._ask("head_object", Key=name, VersionId=stored["VersionId"]))
        except Refused as refusal:
            raise self.requests.failed(key, refusal) from None

    def _is_locked(self, probe: _Probe) -> bool:
        """Locked for long enough that shortening it means something."""
        return probe.locked_until is not None and probe.locked_until > self.now + _STILL_LOCKED

    def _lifecycle(self) -> dict[str, Any]:
        """What is there already, or a rule that is switched off and that no server should take."""
        try:
            return {"Rules": self._ask("get_bucket_lifecycle_configuration")["Rules"]}
        except (Refused, KeyError):
            return {"Rules": [{
                "ID": "nirantar-probe", "Status": "Disabled", "Filter": {"Prefix": _NEVER_MATCHES},
                "Expiration": {"Days": 0},
            }]}

    def _note(self, right: str, operation: str, **parameters: Any) -> None:
        if self._may(operation, **parameters):
            self.allowed.append(right)

    def _may(self, operation: str, **parameters: Any) -> bool:
        """Whether a request that must be refused is not: it went through, or was found wrong only after the rights."""
        try:
            self._ask(operation, **parameters)
        except Refused as refusal:
            locked = "VersionId" in parameters
            return refusal.status != 403 and refusal.status not in _UNKNOWN_HERE and not locked
        return True

    def _ask(self, operation: str, **parameters: Any) -> Any:
        answer = self.requests.call(operation, "examining", **parameters)
        said = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        if said is not None:
            self.now = parsedate_to_datetime(said)
        return answer

    def _unfit(self, why: str) -> SetupError:
        return SetupError(f"{self.requests.address.name} is refused as a vault: {why}.")


def require_protection(host: Host, requests: S3Requests) -> None:
    """Raise SetupError, naming what to change, unless the bucket locks and these credentials cannot undo it.

    Raises VaultUnavailable where it cannot be asked now.
    """
    examination = _Examination(requests, datetime.fromtimestamp(host.now_us() // 1_000_000, tz=UTC), [])
    examination.run()
    if examination.allowed:
        raise SetupError(
            f"{requests.address.name} is refused as a vault: these credentials could undo its protection. Remove from "
            f"their policy: {', '.join(examination.allowed)}. The documented policy has only what a node needs."
        )


def _as_probe(name: str, head: Any) -> _Probe:
    until = head.get("ObjectLockRetainUntilDate") if head.get("ObjectLockMode") == "COMPLIANCE" else None
    return _Probe(name, head["VersionId"], until)
