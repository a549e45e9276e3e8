"""The access log's digest in the journal: written when the log grew, found again, and never once too often."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nirantar.continuity.digests import ACCESS_DIGEST_TYPE, AccessDigests, journalled
from nirantar.interactions.access_log import check_access_log
from simulated_node import CLERK, DIRECTORY, SimulatedNode


@pytest.fixture
def node() -> Iterator[SimulatedNode]:
    """A node."""
    with SimulatedNode() as made:
        yield made


def digests(node: SimulatedNode) -> AccessDigests:
    """As a start of the node makes them."""
    return AccessDigests("opd-1", node.access_log, node.transact, next(journalled(node.view, "opd-1"), None))


def read_something(node: SimulatedNode) -> None:
    """One flushed line."""
    node.access_log.note(CLERK, "read", "Patient", "p")
    node.access_log.flush()


def test_a_digest_is_written_only_when_there_is_something_new(node: SimulatedNode) -> None:
    """Nothing read, nothing journalled; over a restart, too."""
    running = digests(node)
    running.write()
    assert node.sequencer.size == 0
    read_something(node)
    for _ in range(2):
        running.write()
    digests(node).write()
    assert node.sequencer.size == 1
    assert list(journalled(node.view, "opd-1")) == [node.access_log.digest()]


def test_what_a_crash_kept_from_the_journal_is_covered_after_the_next_start(node: SimulatedNode) -> None:
    """Lines on disk whose digest was never journalled are covered although nothing new was read."""
    read_something(node)
    digests(node).write()
    assert list(journalled(node.view, "opd-1")) == [node.access_log.digest()]
    read_something(node)
    digests(node).write()
    assert next(journalled(node.view, "opd-1")) == node.access_log.digest()
    assert len(list(journalled(node.view, "opd-1"))) == 2


def test_every_digest_stays_a_witness(node: SimulatedNode) -> None:
    """The log verifies against all of them; cut to nothing it fails against each."""
    for _ in range(3):
        read_something(node)
        digests(node).write()
    digested = list(journalled(node.view, "opd-1"))
    assert [lines for lines, _ in digested] == [3, 2, 1]
    assert list(check_access_log(node.host, DIRECTORY / "access", digested=digested)) == []
    for path in list(node.host.files.walk(DIRECTORY / "access")):
        node.host.files.replace(path, b"")
    (finding,) = check_access_log(node.host, DIRECTORY / "access", digested=digested)
    assert "line 1" in finding.what


def test_a_running_one_writes_once_more_when_it_stops(node: SimulatedNode) -> None:
    """Its thread ends with the last lines journalled; a node that may not write ends all the same."""
    running = digests(node)
    running.start()
    read_something(node)
    running.stop()
    assert next(journalled(node.view, "opd-1"))[0] == 1
    running = digests(node)
    running.start()
    read_something(node)
    node.sequencer.refuse_writes("It was cloned.")
    running.stop()
    with node.view.reader() as state:
        assert state.counts() == {ACCESS_DIGEST_TYPE: 1}
