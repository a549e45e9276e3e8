"""What is an alarm and what is not, how it leaves, and that it stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from nirantar import limits
from nirantar.app.node import Node
from nirantar.continuity.alarm import ALARM_TYPE, LOST, Alarms, TouchedFile, gathered, is_operators
from nirantar.errors import ReadOnly, SetupError, VaultUnavailable
from nirantar.host.simulated import SimulatedHost
from nirantar.host.watching import Touched, Watch
from nirantar.vault.keys import AlarmKey, parse
from simulated_site import NODE, ORIGIN, Site, found_site


@pytest.fixture
def site() -> Iterator[Site]:
    """A hospital."""
    with SimulatedHost(5) as host:
        yield found_site(host)


class Refusing:
    """A vault that takes nothing."""

    location = "file:///gone"
    warning = None

    def put_new(self, *_: object) -> None:
        """Refuse."""
        raise VaultUnavailable("it is gone")


def started(site: Site, *vaults: object, journal: list[object] | None = None, watch: object = None) -> Alarms:
    """Alarms whose threads run, over a watch that sees nothing by itself."""
    records: list[object] = [] if journal is None else journal
    made = Alarms(
        site.host, watch or (lambda: site.host.watch(NODE)), ORIGIN, vaults or (site.vault,),  # type: ignore[arg-type]
        lambda: 7, records.append,
    )
    made.start()
    return made


@pytest.mark.parametrize(
    "touched",
    [
        *(Touched(f"verify-0123456789ab.db{end}", what) for end in ("", "-wal", "-shm") for what in ("created", "deleted")),
        *(Touched(f"credentials.db{end}", what) for end in ("", "-wal", "-shm") for what in ("created", "modified")),
        Touched("view.db-shm", "modified"), Touched("journal.db-shm", "created"),
        Touched(".generation.json.0123456789abcdef.partial", "renamed"), Touched("generation.json", "renamed"),
        Touched("generation.json", "modified"),
    ],
)
def test_the_operators_own_commands_are_no_alarm(touched: Touched) -> None:
    """verify, token, prove and doctor may run beside a serving node."""
    assert is_operators(touched)


@pytest.mark.parametrize(
    "touched",
    [
        *(Touched(name, what) for name in ("view.db", "view.db-wal", "journal.db", "journal.db-wal", "keys/node.key",
          "nirantar.toml", "hospital.json", "roster.note", "attachments/ab/abcd", "access/access-2026-01-01.jsonl")
          for what in ("modified", "renamed", "deleted", "created")),
        Touched("credentials.db", "deleted"), Touched("credentials.db", "renamed"), Touched("view.db-shm", "renamed"),
        Touched("view.db.locked", "renamed"), Touched("READ_ME.txt", "created"), Touched(".", "renamed"),
        Touched("generation.json", "deleted"), Touched("keys/verify-0123456789ab.db", "created"), Touched("", "lost"),
        Touched("verify-0123456789ab.db\n", "created"), Touched("lock", "renamed"),
    ],
)
def test_everything_else_is(touched: Touched) -> None:
    """Each file of a node in each way, a note left by ransomware, and events that the kernel had to drop."""
    assert not is_operators(touched)


def test_many_changes_are_gathered_by_name_and_bounded() -> None:
    """Each file and kind once, with its count; what does not fit is counted; names that others chose are made safe."""
    many = [Touched("view.db", "modified")] * 3 + [Touched(f"f{number}", "created") for number in range(limits.ALARM_FILES_MAX + 5)]
    files, more = gathered(many)
    assert (files[0], len(files), more) == (TouchedFile("view.db", "modified", 3), limits.ALARM_FILES_MAX, 6)
    (odd, lost), _ = gathered([Touched("a\x1b[31m\n" + "b" * 500, "created"), Touched("", "lost")])
    assert odd.path == "a?[31m?" + "b" * (limits.ALARM_PATH_CHARS_MAX - 7)
    assert lost.path == LOST


def test_an_alarm_leaves_for_the_vault_and_into_the_log(site: Site) -> None:
    """One object in clear with names only, one record; the status tells when and where it got to."""
    journal: list[object] = []
    alarms = started(site, journal=journal)
    assert alarms.status() is None
    alarms.note([Touched("credentials.db", "modified")])
    alarms.note([Touched("keys/node.key", "renamed"), Touched("view.db", "modified")])
    alarms.stop()
    (key,) = site.vault.list("opd/alarm/")
    assert isinstance(parse(key), AlarmKey)
    found = msgspec.json.decode(site.vault.get(key))
    assert (found["v"], found["origin"], found["entries"], found["more"]) == (1, ORIGIN, 7, 0)
    assert [(each["path"], each["what"]) for each in found["touched"]] == [
        ("keys/node.key", "renamed"), ("view.db", "modified"),
    ]
    status = alarms.status()
    assert status is not None
    assert (status.at, status.touched) == (found["at"], ("keys/node.key renamed", "view.db modified"))
    assert list(status.reached) == [site.vault.location]
    assert status.trouble == {}
    assert [record["resourceType"] for record in journal if isinstance(record, dict)] == [ALARM_TYPE]


def test_what_follows_is_gathered_and_the_first_alarm_stays_shown(site: Site) -> None:
    """Within ALARM_GATHER_SECONDS nothing more is raised; then one object for all of it; never more than ALARMS_MAX."""
    alarms = started(site)
    alarms.note([Touched("view.db", "modified")])
    alarms.note([Touched("journal.db", "modified")] * 9)
    alarms.note([])
    site.host.advance(int(limits.ALARM_GATHER_SECONDS * 1e6))
    alarms.note([])
    for _ in range(2 * limits.ALARMS_MAX):
        alarms.note([Touched("more", "created")])
        site.host.advance(int(limits.ALARM_GATHER_SECONDS * 1e6))
    alarms.stop()
    objects = [msgspec.json.decode(site.vault.get(key)) for key in site.vault.list("opd/alarm/")]
    assert len(objects) == limits.ALARMS_MAX
    assert objects[1]["touched"] == [{"path": "journal.db", "what": "modified", "count": 9}]
    status = alarms.status()
    assert status is not None
    assert status.touched == ("view.db modified",)
    assert status.more >= 9


def test_a_vault_that_is_gone_delays_no_other_and_is_told(site: Site) -> None:
    """The good vault has it, the other's sentence is on the page, and stopping does not wait for it."""
    alarms = started(site, Refusing(), site.vault)
    alarms.note([Touched("view.db", "modified")])
    alarms.stop()
    status = alarms.status()
    assert status is not None
    assert (list(status.reached), status.trouble) == ([site.vault.location], {"file:///gone": "it is gone"})


def test_a_log_that_takes_nothing_stops_no_alarm(site: Site) -> None:
    """A read-only node still tells its vaults, and says what its log said."""

    def refuse(record: object) -> None:
        raise ReadOnly("It only reads.")

    alarms = Alarms(site.host, lambda: site.host.watch(NODE), ORIGIN, (site.vault,), lambda: 7, refuse)
    alarms.start()
    alarms.note([Touched("view.db", "modified")])
    alarms.stop()
    status = alarms.status()
    assert status is not None
    assert (list(status.reached), status.trouble) == ([site.vault.location], {"the log": "It only reads."})


def test_a_machine_that_cannot_watch_says_so(site: Site) -> None:
    """The node works; its pages and /health tell that nobody would notice."""

    def blind() -> Watch:
        raise SetupError("This machine's kernel cannot tell who writes.")

    alarms = started(site, watch=blind)
    assert "Nobody would notice" in (alarms.unwatched or "")
    alarms.stop()


def test_a_node_watches_its_own_directory(site: Site) -> None:
    """What the machine says of another process's change to the node's files is in its log, its vault and its status."""
    node = Node(site.host, NODE)
    with_watch = node.alarms
    assert with_watch.unwatched is not None
    with_watch.start()
    try:
        site.host.touch(Path("/elsewhere/view.db"), "modified")
        site.host.touch(NODE / "view.db", "modified")
        for _ in range(400):
            if not node.sequencer._queue.empty():
                node.sequencer.step()
                break
            with_watch._stopping.wait(0.01)
    finally:
        with_watch.stop()
        alarm, unwatched = node.status().alarm, node.status().unwatched
        with node.view.reader() as state:
            counted = state.counts()
        node.close()
    assert unwatched is None
    assert alarm is not None
    assert alarm.touched == ("view.db modified",)
    assert counted == {ALARM_TYPE: 1}
    assert len(list(site.vault.list("opd/alarm/"))) == 1
