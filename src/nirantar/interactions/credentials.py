"""Bearer tokens and sessions of one node: secrets that must not survive it.

They are kept beside the log, not in it: after an attack every token and session counts as stolen, so a recovered node
begins with none. Only SHA-256 hashes of the 256-bit secrets are stored; staff accounts, which do survive, are in
the log (`accounts.py`).
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Final, Literal

from nirantar import limits
from nirantar.errors import DiskFull, FsyncFailed, InvalidInput, NotSignedIn
from nirantar.host.disk_errors import DiskErrors
from nirantar.host.port import Host
from nirantar.interactions.authorize import ROLES, Caller

CREDENTIALS_FILE: Final = "credentials.db"
_DISK: Final = DiskErrors("the credentials", "move it away, and sign in or ask for tokens again")
_SECRET_BYTES: Final = 32
_CACHE_US: Final = 2_000_000
_CACHE_MAX: Final = 4_096
_DAY_US: Final = 86_400_000_000
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS credential (hash BLOB PRIMARY KEY, kind TEXT NOT NULL, actor TEXT NOT NULL,"
    " name TEXT NOT NULL, role TEXT NOT NULL, workstation TEXT NOT NULL, issued_us INTEGER NOT NULL,"
    " used_us INTEGER NOT NULL, expires_us INTEGER NOT NULL) STRICT, WITHOUT ROWID"
)


@dataclass(frozen=True, slots=True)
class _Held:
    caller: Caller
    expires_us: int
    checked_us: int


class Credentials:
    """Issues, checks and withdraws. Checks are remembered for two seconds, so a withdrawn secret works no longer.

    All raise Damaged where the file is not what SQLite wrote, and DiskFull where something is to be written; a failed
    fsync ends the process.
    """

    def __init__(self, host: Host, path: Path) -> None:
        self._host = host
        with _DISK:
            self._connection = host.database(path)
        try:
            with _DISK:
                self._connection.execute(_SCHEMA)
        except BaseException:
            self._connection.close()
            raise
        self._turn = Lock()
        self._cache: dict[tuple[str, bytes], _Held] = {}

    def issue_token(self, role: str, name: str) -> str:
        """A bearer token for a system or script: 43 characters, valid TOKEN_DAYS. Raises InvalidInput."""
        if role not in ROLES:
            raise InvalidInput(f"There is no role {role!r}. Roles: {', '.join(ROLES)}.")
        if not name.strip():
            raise InvalidInput("Say for whom the token is: --name is empty.")
        caller = Caller(f"token:{name.strip()}", name.strip(), role, "api")
        return self._issue("token", caller, limits.TOKEN_DAYS * _DAY_US)

    def open_session(self, caller: Caller) -> str:
        """A session secret for a signed-in person, valid SESSION_SECONDS_MAX and SESSION_IDLE_SECONDS unused."""
        return self._issue("session", caller, limits.SESSION_SECONDS_MAX * 1_000_000)

    def check(self, kind: Literal["token", "session"], secret: str) -> Caller:
        """Whose secret this is. Raises NotSignedIn when it is unknown, withdrawn, expired or idle too long."""
        now_us, hash = self._host.now_us(), sha256(secret.encode()).digest()
        held = self._cache.get((kind, hash))
        # A check from the future was made before the clock was set back: it says nothing.
        if held is None or not 0 <= now_us - held.checked_us <= _CACHE_US or now_us > held.expires_us:
            held = self._look_up(kind, hash, now_us)
        return held.caller

    def withdraw(self, secret: str) -> None:
        """End a session or token at once. Raises DiskFull, as all that writes here does."""
        hash = sha256(secret.encode()).digest()
        with self._at_disk():
            self._connection.execute("DELETE FROM credential WHERE hash = ?", (hash,))
            self._forget(hash)

    def withdraw_actor(self, actor: str) -> None:
        """End every session and token of an actor."""
        with self._at_disk():
            self._connection.execute("DELETE FROM credential WHERE actor = ?", (actor,))
            self._cache.clear()

    def close(self) -> None:
        """Release the database."""
        self._connection.close()

    @contextmanager
    def _at_disk(self) -> Iterator[None]:
        """One statement or transaction at a time, its errors as errors.py has them."""
        try:
            with self._turn, _DISK:
                yield
        except FsyncFailed as failure:
            self._host.exit(f"{failure} What the disk holds is unknown, so the node stops; start it again.")

    def _issue(self, kind: str, caller: Caller, valid_us: int) -> str:
        secret = urlsafe_b64encode(self._host.random_bytes(_SECRET_BYTES)).rstrip(b"=").decode()
        now_us = self._host.now_us()
        with self._at_disk(), self._connection:
            self._connection.execute("DELETE FROM credential WHERE expires_us < ?", (now_us,))
            self._connection.execute(
                "INSERT INTO credential VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (sha256(secret.encode()).digest(), kind, caller.actor, caller.name, caller.role, caller.workstation,
                 now_us, now_us, now_us + valid_us),
            )
        return secret

    def _look_up(self, kind: str, hash: bytes, now_us: int) -> _Held:
        with self._at_disk():
            row = self._connection.execute(
                "SELECT actor, name, role, workstation, used_us, expires_us FROM credential"
                " WHERE hash = ? AND kind = ?",
                (hash, kind),
            ).fetchone()
            idle_us = limits.SESSION_IDLE_SECONDS * 1_000_000
            if row is None or now_us > row[5] or (kind == "session" and now_us - row[4] > idle_us):
                self._forget(hash)
                what = "token" if kind == "token" else "session"
                raise NotSignedIn(f"This {what} is unknown, withdrawn or expired. Sign in again, or ask for a new one.")
            if now_us - row[4] > idle_us // 10:
                # On a full disk people go on reading; a session is then not prolonged.
                with suppress(DiskFull), _DISK:
                    self._connection.execute("UPDATE credential SET used_us = ? WHERE hash = ?", (now_us, hash))
            if len(self._cache) >= _CACHE_MAX:
                self._cache.clear()
            held = _Held(Caller(row[0], row[1], row[2], row[3]), row[5], now_us)
            self._cache[kind, hash] = held
            return held

    def _forget(self, hash: bytes) -> None:
        for kind in ("token", "session"):
            self._cache.pop((kind, hash), None)
