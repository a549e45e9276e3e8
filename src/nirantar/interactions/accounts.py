"""Staff accounts: in the log, so that they come back with the hospital; passwords as Argon2id hashes.

An account is a system record of type NirantarAccount: `id` is the login, `name`, `role`, `passwordHash`, `active`.
Hashing takes about 0.2 s and 64 MiB by design, so only PASSWORD_HASHES_AT_ONCE_MAX run together.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock
from typing import Any, Final

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from nirantar import limits
from nirantar.errors import InvalidInput, NotFound, NotSignedIn, Overloaded
from nirantar.fhir.search_query import SearchQuery
from nirantar.host.port import Host
from nirantar.interactions.access_log import AccessLog
from nirantar.interactions.authorize import ROLES, Caller, authorize_operation
from nirantar.interactions.transact import Transact
from nirantar.interactions.transaction import Purpose
from nirantar.store.port import View

ACCOUNT_TYPE: Final = "NirantarAccount"
LOGIN: Final = re.compile(r"[a-z][a-z0-9.-]{1,31}")
PASSWORD_CHARS_MIN: Final = 10


@dataclass(frozen=True, slots=True)
class Account:
    """A member of staff as others may see it: without the hash."""

    login: str
    name: str
    role: str
    active: bool


class Accounts:
    """Makes, disables and checks staff accounts."""

    def __init__(
        self, host: Host, view: View, transact: Transact, access_log: AccessLog, hasher: PasswordHasher | None = None
    ) -> None:
        """`hasher` is Argon2id with the library's recommended costs (RFC 9106's second choice) unless given."""
        self._host = host
        self._view = view
        self._transact = transact
        self._access_log = access_log
        self._hasher = hasher or PasswordHasher()
        self._hashing = BoundedSemaphore(limits.PASSWORD_HASHES_AT_ONCE_MAX)
        self._waiting = BoundedSemaphore(limits.SIGN_INS_AT_ONCE_MAX)
        self._turn = Lock()
        # Apart from each other: invented logins may push out one another, never what is known of a real one.
        self._failures: dict[str, deque[int]] = {}
        self._failures_of_nobody: dict[str, deque[int]] = {}
        self._nobody: str | None = None

    def sign_in(self, login: str, password: str, workstation: str) -> Caller:
        """The caller behind a login and password. Raises NotSignedIn with one sentence for every cause, Overloaded
        after SIGN_IN_FAILURES_MAX failures within SIGN_IN_FAILURE_WINDOW_SECONDS for this login, and when
        SIGN_INS_AT_ONCE_MAX wait already: hashing is slow, and other pages need the threads."""
        login = login.strip().lower()
        record = self._record(login)
        guess = self._count_guess(login, known=record is not None)
        if not self._waiting.acquire(blocking=False):
            self._forgive(login, guess)
            raise Overloaded("Many people are signing in at this moment: try again in a few seconds.")
        try:
            matches = self._matches(self._hash_of_nobody() if record is None else record["passwordHash"], password)
        finally:
            self._waiting.release()
        if not matches or record is None or not record["active"]:
            unknown = Caller(f"login:{login[:32]}" if record else "login:unknown", "", "", workstation)
            self._access_log.note(unknown, "sign-in-failed", ACCOUNT_TYPE, "")
            raise NotSignedIn("Login or password is wrong, or the account is disabled.")
        caller = Caller(f"staff:{login}", record["name"], record["role"], workstation)
        self._access_log.note(caller, "sign-in", ACCOUNT_TYPE, login)
        self._forgive(login)
        return caller

    def put(self, by: Caller, account: Account, password: str | None) -> None:
        """Create or change an account, durably. Without `password` the present one stays; with one, a login that was
        locked by wrong guesses is open again. Raises InvalidInput,
        Forbidden, and what `Transact` raises."""
        authorize_operation(by)
        _check(account)
        known = self._record(account.login)
        if password is not None:
            if not PASSWORD_CHARS_MIN <= len(password) <= limits.PASSWORD_CHARS_MAX:
                raise InvalidInput(f"A password has {PASSWORD_CHARS_MIN} to {limits.PASSWORD_CHARS_MAX} characters.")
            with self._hashing:
                hash = self._hasher.hash(password)
        elif known is not None:
            hash = known["passwordHash"]
        else:
            raise InvalidInput("A new account needs a password.")
        record: dict[str, Any] = {
            "resourceType": ACCOUNT_TYPE, "id": account.login, "name": account.name.strip(), "role": account.role,
            "passwordHash": hash, "active": account.active,
        }
        action = "change-account" if known else "create-account"
        self._transact.system_record(by, record, Purpose(action))
        if password is not None:
            self._forgive(account.login)

    def get(self, login: str) -> Account:
        """One account. Raises NotFound."""
        record = self._record(login)
        if record is None:
            raise NotFound(f"There is no account {login}.")
        return Account(login, record["name"], record["role"], record["active"])

    def everybody(self, by: Caller) -> tuple[Account, ...]:
        """Every account by login, up to SEARCH_COUNT_MAX. Raises Forbidden."""
        authorize_operation(by)
        with self._view.reader() as state:
            page = state.search(SearchQuery(ACCOUNT_TYPE, count=limits.SEARCH_COUNT_MAX))
        records = [msgspec.json.decode(each.resource) for each in page.versions if each.resource is not None]
        accounts = (Account(each["id"], each["name"], each["role"], each["active"]) for each in records)
        return tuple(sorted(accounts, key=lambda each: each.login))

    def _record(self, login: str) -> dict[str, Any] | None:
        if not LOGIN.fullmatch(login):
            return None
        with self._view.reader() as state:
            version = state.read(ACCOUNT_TYPE, login)
        if version is None or version.resource is None:
            return None
        record: dict[str, Any] = msgspec.json.decode(version.resource)
        return record

    def _matches(self, stored: str, password: str) -> bool:
        if len(password) > limits.PASSWORD_CHARS_MAX:
            return False
        with self._hashing:
            try:
                return self._hasher.verify(stored, password)
            except (Argon2Error, InvalidHashError):
                return False

    def _hash_of_nobody(self) -> str:
        """A hash to check against where there is no account, so that this takes as long. Made at the first sign-in and
        not before: hashing is slow by design, and a node starts without waiting for it."""
        if self._nobody is None:
            with self._hashing:
                self._nobody = self._hasher.hash("nobody has this password")
        return self._nobody

    def _count_guess(self, login: str, *, known: bool) -> int:
        """Count a try as failed until it succeeds, so that those made at once are counted, too; give its time. Raises
        Overloaded."""
        now_us, login = self._host.monotonic_us(), login[:64]
        with self._turn:
            memory = self._failures if known else self._failures_of_nobody
            if len(memory) >= limits.SIGN_IN_LOGINS_REMEMBERED_MAX and login not in memory:
                memory.pop(next(iter(memory)))
            failures = memory.setdefault(login, deque())
            while failures and failures[0] < now_us - limits.SIGN_IN_FAILURE_WINDOW_SECONDS * 1_000_000:
                failures.popleft()
            if len(failures) >= limits.SIGN_IN_FAILURES_MAX:
                raise Overloaded(
                    f"{limits.SIGN_IN_FAILURES_MAX} wrong passwords for this login: wait "
                    f"{limits.SIGN_IN_FAILURE_WINDOW_SECONDS // 60} minutes, or ask IT to set a new one."
                )
            failures.append(now_us)
        return now_us

    def _forgive(self, login: str, guess: int | None = None) -> None:
        """Forget one try, or all of a login."""
        login = login[:64]
        with self._turn:
            for memory in (self._failures, self._failures_of_nobody):
                failures = memory.get(login)
                if failures is None:
                    continue
                if guess is not None and guess in failures:
                    failures.remove(guess)
                if guess is None or not failures:
                    del memory[login]


def _check(account: Account) -> None:
    if not LOGIN.fullmatch(account.login):
        raise InvalidInput("A login is 2 to 32 characters: a letter, then letters, digits, dots or hyphens.")
    if not account.name.strip():
        raise InvalidInput("An account needs the person's name.")
    if account.role not in ROLES:
        raise InvalidInput(f"There is no role {account.role!r}. Roles: {', '.join(ROLES)}.")
