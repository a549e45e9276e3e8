"""Tokens and sessions: who they are, how long, and that an end is an end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nirantar import limits
from nirantar.errors import DiskFull, InvalidInput, NotSignedIn
from nirantar.interactions.credentials import Credentials
from simulated_node import CLERK, DIRECTORY, SimulatedNode

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US


@pytest.fixture
def node() -> Iterator[SimulatedNode]:
    """A node on a simulated machine."""
    with SimulatedNode() as made:
        yield made


def test_a_token_names_its_bearer(node: SimulatedNode) -> None:
    """A token answers with the role and name it was issued for, and is nothing that could be guessed or listed."""
    secret = node.credentials.issue_token("doctor", " App ")
    caller = node.credentials.check("token", secret)
    assert (caller.actor, caller.name, caller.role) == ("token:App", "App", "doctor")
    assert len(secret) == 43
    stored = node.host.files.read(DIRECTORY / "credentials.db") + node.host.files.read(DIRECTORY / "credentials.db-wal")
    assert secret.encode() not in stored


@pytest.mark.parametrize(("role", "name"), [("surgeon", "App"), ("", "App"), ("doctor", " ")])
def test_a_token_needs_a_role_and_a_name(node: SimulatedNode, role: str, name: str) -> None:
    """An unknown role is refused with the list of roles, an empty name with what to do."""
    with pytest.raises(InvalidInput, match=r"Roles: registration-clerk|--name is empty"):
        node.credentials.issue_token(role, name)


def test_a_token_ends_after_its_days(node: SimulatedNode) -> None:
    """Valid until the last of TOKEN_DAYS, not after; also while its check is remembered."""
    secret = node.credentials.issue_token("doctor", "App")
    node.host.advance(limits.TOKEN_DAYS * DAY_US - SECOND_US)
    assert node.credentials.check("token", secret).role == "doctor"
    node.host.advance(SECOND_US + 1)
    with pytest.raises(NotSignedIn):
        node.credentials.check("token", secret)


def test_a_session_ends_when_idle(node: SimulatedNode) -> None:
    """Use keeps it open past SESSION_IDLE_SECONDS; a pause that long ends it."""
    secret = node.credentials.open_session(CLERK)
    for _ in range(4):
        node.host.advance(limits.SESSION_IDLE_SECONDS // 2 * SECOND_US)
        assert node.credentials.check("session", secret) == CLERK
    node.host.advance((limits.SESSION_IDLE_SECONDS + 1) * SECOND_US)
    with pytest.raises(NotSignedIn):
        node.credentials.check("session", secret)


def test_a_session_ends_at_last(node: SimulatedNode) -> None:
    """Constant use does not carry a session past SESSION_SECONDS_MAX."""
    secret = node.credentials.open_session(CLERK)
    step = limits.SESSION_IDLE_SECONDS // 2
    for _ in range(limits.SESSION_SECONDS_MAX // step - 1):
        node.host.advance(step * SECOND_US)
        node.credentials.check("session", secret)
    node.host.advance((step + 1) * SECOND_US)
    with pytest.raises(NotSignedIn):
        node.credentials.check("session", secret)


def test_a_token_is_no_session_and_a_session_no_token(node: SimulatedNode) -> None:
    """Also in the two seconds in which a check is remembered."""
    token, session = node.credentials.issue_token("doctor", "App"), node.credentials.open_session(CLERK)
    node.credentials.check("token", token)
    node.credentials.check("session", session)
    with pytest.raises(NotSignedIn):
        node.credentials.check("session", token)
    with pytest.raises(NotSignedIn):
        node.credentials.check("token", session)


def test_a_withdrawn_secret_is_dead_at_once(node: SimulatedNode) -> None:
    """Withdrawing one leaves the others; withdrawing an actor ends all of his."""
    mine, other = node.credentials.open_session(CLERK), node.credentials.open_session(CLERK)
    token = node.credentials.issue_token("doctor", "App")
    for secret in (mine, other):
        node.credentials.check("session", secret)
    node.credentials.withdraw(mine)
    with pytest.raises(NotSignedIn):
        node.credentials.check("session", mine)
    assert node.credentials.check("session", other) == CLERK
    node.credentials.withdraw_actor(CLERK.actor)
    with pytest.raises(NotSignedIn):
        node.credentials.check("session", other)
    assert node.credentials.check("token", token).role == "doctor"


def test_a_secret_withdrawn_elsewhere_ends_though_the_clock_went_back(node: SimulatedNode) -> None:
    """A remembered check is not believed when it lies in the future: another process may have withdrawn the secret."""
    secret = node.credentials.open_session(CLERK)
    node.credentials.check("session", secret)
    node.credentials._connection.execute("DELETE FROM credential")
    node.host.set_wall_us(node.host.now_us() - DAY_US)
    with pytest.raises(NotSignedIn):
        node.credentials.check("session", secret)


@pytest.mark.parametrize("secret", ["", "x", "é" * 43, "A" * 10_000])
def test_nonsense_opens_nothing(node: SimulatedNode, secret: str) -> None:
    """What was never issued is nobody's, whatever it looks like."""
    with pytest.raises(NotSignedIn):
        node.credentials.check("token", secret)


def test_secrets_outlive_the_process_but_expired_ones_are_swept(node: SimulatedNode) -> None:
    """A restart signs nobody out; what has expired does not pile up."""
    secret = node.credentials.issue_token("doctor", "App")
    node.credentials.close()
    again = Credentials(node.host, DIRECTORY / "credentials.db")
    assert again.check("token", secret).name == "App"
    node.host.advance((limits.TOKEN_DAYS + 1) * DAY_US)
    again.issue_token("doctor", "New")
    assert again._connection.execute("SELECT count(*) FROM credential").get == 1


def test_on_a_full_disk_sessions_go_on_and_new_ones_are_refused(node: SimulatedNode) -> None:
    """Reading goes on when the disk is full, so noting a session's use must not fail the read."""
    secret = node.credentials.open_session(CLERK)
    node.host.advance(limits.SESSION_IDLE_SECONDS // 2 * SECOND_US)
    node.host.disk.capacity_bytes = node.host.disk.used_bytes
    assert node.credentials.check("session", secret) == CLERK
    with pytest.raises(DiskFull):
        node.credentials.open_session(CLERK)
    node.host.disk.capacity_bytes = None
    assert node.credentials.check("session", node.credentials.open_session(CLERK)) == CLERK
