"""Bringing snapshots to vaults: packs before the map before the manifest, and each vault catches up by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nirantar.continuity.snapshot_state import LastSnapshot, SnapshotFiles
from nirantar.continuity.snapshot_storing import SnapshotStore
from nirantar.host.simulated import SimulatedHost
from nirantar.vault.keys import ManifestKey, MapKey, PackKey, parse
from snapshot_parts import DIRECTORY, MadeUpView, Switched, pages_in, taken
from snapshots_at_hand import NODE, page


class Setting:
    """A node's files, two vaults, and its snapshots one after another."""

    def __init__(self, host: SimulatedHost) -> None:
        self.host, self.files = host, SnapshotFiles(host, DIRECTORY)
        host.files.make_directory(DIRECTORY.parent)
        self.one, self.two = Switched(host, "one"), Switched(host, "two")
        self.store = SnapshotStore(self.files, (self.one, self.two), node=NODE)
        self.pages = [page(number) for number in range(40)]
        self.last: LastSnapshot | None = None

    def next(self, *, full: bool = False) -> LastSnapshot:
        """Another page changes; the snapshot of that is offered and brought to the vaults."""
        serial = 1 if self.last is None else self.last.manifest.serial + 1
        self.pages[serial] = page(serial, serial)
        self.last = taken(self.host, self.files, MadeUpView(self.pages), None if full else self.last, serial)
        self.store.offer(self.last)
        self.store.step()
        return self.last


@pytest.fixture
def setting() -> Iterator[Setting]:
    """On a simulated machine."""
    with SimulatedHost(4) as host:
        yield Setting(host)


def test_a_manifest_comes_after_all_that_it_names(setting: Setting) -> None:
    """A vault that holds a manifest holds the snapshot."""
    last = setting.next()
    assert [type(parse(key)) for key in setting.one.stored] == [PackKey, MapKey, ManifestKey]
    assert pages_in(setting.one, last) == pages_in(setting.two, last) == setting.pages
    assert (setting.store.stored, setting.store.settled, setting.store.status()) == (True, True, (2, None))


def test_a_difference_stores_only_what_is_new(setting: Setting) -> None:
    """One pack, one chunk, one manifest; the older pack is not even asked for."""
    first = setting.next()
    setting.files.drop_packs()
    setting.one.stored.clear()
    setting.one.read.clear()
    second = setting.next()
    assert len(setting.one.stored) == 3
    old = str(PackKey(NODE, first.manifest.contents.packs[0].name))
    assert old not in setting.one.stored + setting.one.read
    assert pages_in(setting.one, second) == setting.pages


def test_a_vault_that_was_away_catches_up_from_the_other(setting: Setting) -> None:
    """Three snapshots later it gets what it lacks, though the node's own packs are gone; nothing waits for it."""
    setting.next()
    setting.two.away = True
    for _ in range(3):
        last = setting.next()
        assert setting.store.stored
        assert setting.store.settled
        assert setting.store.status() == (1, "file:///two: file:///two does not answer.")
        setting.files.drop_packs()
    setting.two.away = False
    setting.store.step()
    assert setting.store.status() == (2, None)
    assert pages_in(setting.two, last) == setting.pages
    assert not setting.store.wants_full


def test_what_no_vault_has_any_more_makes_the_next_one_full(setting: Setting) -> None:
    """The vault was replaced by an empty one and the node's packs are gone: a full snapshot follows, and is whole."""
    setting.next()
    setting.next()
    setting.files.drop_packs()
    fresh = Switched(setting.host, "fresh")
    setting.store = SnapshotStore(setting.files, (fresh,), node=NODE)
    setting.store.offer(setting.last)
    setting.store.step()
    assert setting.store.wants_full
    assert "a full snapshot follows" in str(setting.store.status()[1])
    last = setting.next(full=True)
    assert (setting.store.wants_full, setting.store.status()) == (False, (1, None))
    assert pages_in(fresh, last) == setting.pages


def test_while_another_vault_cannot_say_nothing_is_given_up(setting: Setting) -> None:
    """What the other vault may have is waited for, not written anew."""
    setting.next()
    setting.files.drop_packs()
    fresh = Switched(setting.host, "fresh")
    setting.one.away = True
    setting.store = SnapshotStore(setting.files, (setting.one, fresh), node=NODE)
    setting.store.offer(setting.last)
    setting.store.step()
    assert not setting.store.wants_full
    assert setting.store.status()[0] == 0
    setting.one.away = False
    setting.store.step()
    assert setting.store.status() == (2, None)


def test_an_altered_pack_is_not_handed_on(setting: Setting) -> None:
    """What the other vault gives is compared with the manifest before it is stored."""
    last = setting.next()
    setting.files.drop_packs()
    key = str(PackKey(NODE, last.manifest.contents.packs[0].name))
    altered, fresh = Switched(setting.host, "altered"), Switched(setting.host, "fresh")
    for each in setting.one.vault.list(f"{NODE}/"):
        altered.vault.put_new(each, b"altered" if each == key else setting.one.vault.get(each))
    setting.store = SnapshotStore(setting.files, (altered, fresh), node=NODE)
    setting.store.offer(last)
    setting.store.step()
    assert setting.store.wants_full
    assert key not in fresh.stored


def test_a_taken_serial_is_never_overwritten(setting: Setting) -> None:
    """A vault holds another snapshot under the serial: it is left alone, told, and the next one is full and beyond."""
    other = taken(setting.host, SnapshotFiles(setting.host, DIRECTORY.parent / "other"), MadeUpView([page(9)]))
    setting.one.vault.put_new(other.manifest.key, other.note)
    assert setting.store.highest_stored() == 1
    setting.next()
    assert setting.one.vault.get(other.manifest.key) == other.note
    assert (setting.store.wants_full, setting.store.highest_seen) == (True, 1)
    assert "another snapshot 1" in str(setting.store.status()[1])


def test_a_vault_that_is_not_mounted_gets_nothing(setting: Setting) -> None:
    """Without the hospital's papers it is not taken for an empty vault."""
    bare = Switched(setting.host, "bare")
    setting.host.files.remove(Path("/bare/hospital.json"))
    setting.store = SnapshotStore(setting.files, (bare,), node=NODE)
    setting.next()
    assert bare.stored == []
    assert "papers" in str(setting.store.status()[1])
    bare.away = True
    assert setting.store.highest_stored() == 0
