"""Sign-in: the right password opens, everything else looks the same from outside."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import msgspec
import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from nirantar import limits
from nirantar.errors import Forbidden, InvalidInput, NotFound, NotSignedIn, Overloaded
from nirantar.interactions.accounts import ACCOUNT_TYPE, PASSWORD_CHARS_MIN, Account, Accounts
from simulated_node import CLERK, DIRECTORY, IT, SimulatedNode

PASSWORD = "seven tall pines"


@pytest.fixture
def node() -> Iterator[SimulatedNode]:
    """A node with one clerk's account."""
    with SimulatedNode() as made:
        made.accounts.put(IT, Account("asha", "Asha Rao", "registration-clerk", active=True), PASSWORD)
        yield made


def refusal(node: SimulatedNode, login: str, password: str) -> str:
    """The sentence of a failed sign-in."""
    with pytest.raises(NotSignedIn) as error:
        node.accounts.sign_in(login, password, "pc-1")
    return str(error.value)


def test_the_right_password_opens(node: SimulatedNode) -> None:
    """The caller carries login, name, role and workstation; the login is forgiving about case and blanks."""
    caller = node.accounts.sign_in(" Asha ", PASSWORD, "pc-1")
    assert (caller.actor, caller.name, caller.role, caller.workstation) == (
        "staff:asha", "Asha Rao", "registration-clerk", "pc-1",
    )


def test_the_password_is_kept_as_argon2id_and_nowhere_else(node: SimulatedNode) -> None:
    """The log holds an Argon2id hash of 64 MiB; the password itself is on no byte of the disk."""
    accounts = Accounts(node.host, node.view, node.transact, node.access_log)
    accounts.put(IT, Account("asha", "Asha Rao", "registration-clerk", active=True), PASSWORD)
    with node.view.reader() as state:
        version = state.read(ACCOUNT_TYPE, "asha")
    assert version is not None
    assert msgspec.json.decode(version.resource or b"")["passwordHash"].startswith("$argon2id$v=19$m=65536,")
    node.access_log.flush()
    for path in node.host.files.walk(DIRECTORY):
        assert PASSWORD.encode() not in node.host.files.read(path), path


def test_every_refusal_is_the_same_sentence(node: SimulatedNode) -> None:
    """Wrong password, unknown login, disabled account, nonsense: nobody learns which logins exist."""
    node.accounts.put(IT, Account("gone", "Gone", "doctor", active=False), PASSWORD)
    sentences = {
        refusal(node, login, password)
        for login, password in [
            ("asha", "wrong"), ("asha", ""), ("nobody", PASSWORD), ("gone", PASSWORD), ("", ""), ("a b\n", "x"),
            ("asha", "x" * (limits.PASSWORD_CHARS_MAX + 1)), ("x" * 10_000, PASSWORD),
        ]
    }
    assert len(sentences) == 1


def test_ten_failures_lock_a_login_for_a_while(node: SimulatedNode) -> None:
    """The right password waits too, other logins do not, and the wait ends."""
    node.accounts.put(IT, Account("ravi", "Ravi", "doctor", active=True), PASSWORD)
    for _ in range(limits.SIGN_IN_FAILURES_MAX):
        refusal(node, "asha", "wrong")
    with pytest.raises(Overloaded, match="wait 15 minutes"):
        node.accounts.sign_in("asha", PASSWORD, "pc-1")
    assert node.accounts.sign_in("ravi", PASSWORD, "pc-1").name == "Ravi"
    node.host.advance((limits.SIGN_IN_FAILURE_WINDOW_SECONDS + 1) * 1_000_000)
    assert node.accounts.sign_in("asha", PASSWORD, "pc-1").name == "Asha Rao"


def test_guesses_made_at_once_are_counted_like_guesses_in_a_row(node: SimulatedNode) -> None:
    """However many wrong passwords are being checked at the same moment, no more than the limit is ever checked."""
    checked: list[str] = []
    all_asked = Barrier(limits.SIGN_IN_FAILURES_MAX + 3)

    class Slow(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:
            assert hash, password
            checked.append(str(password))
            raise VerifyMismatchError

    accounts = Accounts(node.host, node.view, node.transact, node.access_log, Slow())

    def guess(number: int) -> type[Exception] | None:
        all_asked.wait()
        try:
            accounts.sign_in("asha", f"guess {number}", "pc-1")
        except (NotSignedIn, Overloaded) as refused:
            return type(refused)
        return None

    with accounts._hashing, ThreadPoolExecutor(all_asked.parties) as guessers:
        # One of the two hashing turns is taken, so that guesses queue up before the first of them is judged.
        answers = list(guessers.map(guess, range(all_asked.parties)))
    assert answers.count(NotSignedIn) == len(checked) == limits.SIGN_IN_FAILURES_MAX
    assert answers.count(Overloaded) == 3


def test_invented_logins_do_not_wash_out_what_is_known_of_a_real_one(
    node: SimulatedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory for logins that nobody has is bounded and for itself: a locked account stays locked, whatever is tried."""
    monkeypatch.setattr(limits, "SIGN_IN_LOGINS_REMEMBERED_MAX", 3)
    for _ in range(limits.SIGN_IN_FAILURES_MAX):
        refusal(node, "asha", "wrong")
    for number in range(10):
        refusal(node, f"invented-{number}", "wrong")
    with pytest.raises(Overloaded, match="wait 15 minutes"):
        node.accounts.sign_in("asha", PASSWORD, "pc-1")
    assert len(node.accounts._failures_of_nobody) == 3


def test_a_login_that_nobody_has_is_locked_like_a_real_one(node: SimulatedNode) -> None:
    """So a lock does not tell which logins exist."""
    for _ in range(limits.SIGN_IN_FAILURES_MAX):
        refusal(node, "nobody", "wrong")
    with pytest.raises(Overloaded, match="wait 15 minutes"):
        node.accounts.sign_in("nobody", "wrong", "pc-1")


def test_a_new_password_from_it_opens_a_locked_login(node: SimulatedNode) -> None:
    """As the refusal says: IT can end the wait."""
    for _ in range(limits.SIGN_IN_FAILURES_MAX):
        refusal(node, "asha", "wrong")
    node.accounts.put(IT, Account("asha", "Asha Rao", "registration-clerk", active=True), "eight tall pines")
    assert node.accounts.sign_in("asha", "eight tall pines", "pc-1").name == "Asha Rao"


def test_when_many_sign_in_at_once_the_rest_is_told_to_come_back(
    node: SimulatedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sign-ins never take all threads of the server, and whoever is sent away has not used up a try."""
    monkeypatch.setattr(limits, "SIGN_INS_AT_ONCE_MAX", 1)
    accounts = Accounts(node.host, node.view, node.transact, node.access_log, node.accounts._hasher)
    with accounts._waiting:
        for _ in range(limits.SIGN_IN_FAILURES_MAX + 1):
            with pytest.raises(Overloaded, match="Many people"):
                accounts.sign_in("asha", PASSWORD, "pc-1")
    assert accounts.sign_in("asha", PASSWORD, "pc-1").name == "Asha Rao"


def test_a_changed_role_counts_at_the_next_sign_in(node: SimulatedNode) -> None:
    """Without a new password the present one stays."""
    node.accounts.put(IT, Account("asha", "Asha Rao", "nurse", active=True), None)
    assert node.accounts.sign_in("asha", PASSWORD, "pc-1").role == "nurse"
    assert node.accounts.get("asha") == Account("asha", "Asha Rao", "nurse", active=True)


def test_a_new_password_ends_the_old_one(node: SimulatedNode) -> None:
    """After a change only the new one opens."""
    node.accounts.put(IT, Account("asha", "Asha Rao", "nurse", active=True), "eight small ferns")
    refusal(node, "asha", PASSWORD)
    assert node.accounts.sign_in("asha", "eight small ferns", "pc-1").role == "nurse"


@pytest.mark.parametrize(
    ("account", "password"),
    [
        (Account("A sha", "Asha", "doctor", active=True), PASSWORD),
        (Account("a", "Asha", "doctor", active=True), PASSWORD),
        (Account("-asha", "Asha", "doctor", active=True), PASSWORD),
        (Account("ravi", " ", "doctor", active=True), PASSWORD),
        (Account("ravi", "Ravi", "surgeon", active=True), PASSWORD),
        (Account("ravi", "Ravi", "doctor", active=True), None),
        (Account("ravi", "Ravi", "doctor", active=True), "x" * (PASSWORD_CHARS_MIN - 1)),
        (Account("ravi", "Ravi", "doctor", active=True), "x" * (limits.PASSWORD_CHARS_MAX + 1)),
    ],
)
def test_a_wrong_account_is_refused_and_nothing_written(
    node: SimulatedNode, account: Account, password: str | None
) -> None:
    """Login, name, role and password each have a rule, and a refusal leaves the log as it was."""
    before = node.sequencer.size
    with pytest.raises(InvalidInput):
        node.accounts.put(IT, account, password)
    assert node.sequencer.size == before


def test_only_it_makes_and_lists_accounts(node: SimulatedNode) -> None:
    """A clerk cannot make himself an administrator, nor see who has an account."""
    with pytest.raises(Forbidden):
        node.accounts.put(CLERK, Account("asha", "Asha Rao", "it-security", active=True), PASSWORD)
    with pytest.raises(Forbidden):
        node.accounts.everybody(CLERK)
    assert [each.login for each in node.accounts.everybody(IT)] == ["asha"]


def test_an_account_that_never_was_is_not_found(node: SimulatedNode) -> None:
    """Also one whose name could not be a login."""
    for login in ("nobody", "NirantarAccount/asha"):
        with pytest.raises(NotFound):
            node.accounts.get(login)


def test_sign_ins_are_noted_without_what_was_typed(node: SimulatedNode) -> None:
    """A known login is named; what somebody typed by mistake (perhaps a password) is not."""
    node.accounts.sign_in("asha", PASSWORD, "pc-1")
    refusal(node, "asha", "wrong words here")
    refusal(node, "my secret password", "x")
    lines = node.access_lines()
    assert b'"what":"sign-in"' in lines
    assert lines.count(b'"what":"sign-in-failed"') == 2
    assert b"login:asha" in lines
    assert b"login:unknown" in lines
    assert b"secret" not in lines
    assert b"wrong words" not in lines
