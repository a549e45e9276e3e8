"""What a vault says of a node's log is believed by signatures, not by names, and costs few requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nirantar.continuity.vault_witness import VaultWitness, covered, newest_segment
from nirantar.host.simulated import SimulatedHost
from nirantar.tlog.merkle import root
from nirantar.tlog.note import Signer
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.keys import LEVELS, SegmentKey
from sealed_log import NODE, ORIGIN, CountingVault, SealedLog, empty_vault, without

LOG = SealedLog(300)
VERIFIER = LOG.signer.verifier


@pytest.fixture
def vault() -> Iterator[DirectoryVault]:
    """An empty vault."""
    with SimulatedHost(1) as host:
        yield empty_vault(host)


def test_an_empty_vault_has_seen_nothing(vault: DirectoryVault) -> None:
    """No size and no head."""
    witness = VaultWitness(vault, VERIFIER)
    assert (witness.largest_size(ORIGIN), witness.newest_head(ORIGIN)) == (0, None)


def test_the_newest_segment_tells_size_and_head(vault: DirectoryVault) -> None:
    """Over all levels: what lies above, and what follows below; a list a level, and one header where it ends."""
    LOG.seal(vault, 0, 100, 200, level="day")
    LOG.seal(vault, *range(0, 260, 10))
    counting = CountingVault(vault)
    newest = newest_segment(counting, VERIFIER)
    assert newest is not None
    assert (newest.key.level, newest.key.end, newest.checkpoint.tree_size) == ("live", 250, 250)
    assert counting.requests == len(LEVELS) + 2
    witness = VaultWitness(vault, VERIFIER)
    assert witness.largest_size(ORIGIN) == 250
    assert witness.newest_head(ORIGIN) == (250, newest.checkpoint.root_hash)


def test_a_name_makes_no_log_longer(vault: DirectoryVault) -> None:
    """Objects that claim more, empty, signed by another key, or copied from elsewhere, change nothing: nobody who can
    only add to a vault can make a node believe that its disk was rolled back."""
    keys = LOG.seal(vault, 0, 5, 9)
    stranger = SealedLog(60)
    stranger.signer = Signer(ORIGIN, bytes(32))
    vault.put_new(*stranger.segment(9, 60))
    vault.put_new(*stranger.segment(0, 60, level="month"))
    vault.put_new(str(SegmentKey(NODE, "live", 5, 70)), vault.get(keys[1]))
    vault.put_new(str(SegmentKey(NODE, "day", 0, 999_999)), b"")
    assert covered(vault, VERIFIER) == 9
    assert VaultWitness(vault, VERIFIER).newest_head(ORIGIN) == (9, root(LOG.leaves[:9]))


def test_a_gap_ends_what_is_covered() -> None:
    """What lies behind a missing segment is not counted, so it is sealed again."""
    with SimulatedHost(1) as host:
        vault = empty_vault(host)
        keys = LOG.seal(vault, 0, 5, 9, 12)
        without(host, vault, keys[1:2])
        assert covered(vault, VERIFIER) == 5


def test_another_log_is_not_asked_about(vault: DirectoryVault) -> None:
    """A witness for one log says nothing of another: that would be a mistake of the program."""
    with pytest.raises(ValueError, match="but it verifies"):
        VaultWitness(vault, VERIFIER).largest_size("nirantar.test/other")
