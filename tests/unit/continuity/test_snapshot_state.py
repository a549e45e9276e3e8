"""What is kept of the last snapshot: whole or not at all, and packs that wait for a vault."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nirantar.continuity.snapshot_state import STATE_FILE, SnapshotFiles, page_hasher
from nirantar.errors import DiskFull
from nirantar.host.simulated import SimulatedHost
from nirantar.tlog.note import Signer
from nirantar.vault.keys import pack_name
from snapshot_parts import DIRECTORY, MadeUpView, taken
from snapshots_at_hand import NODE, SIGNER, SLUG, page


@pytest.fixture
def host() -> Iterator[SimulatedHost]:
    """A simulated machine."""
    with SimulatedHost(4) as made:
        made.files.make_directory(DIRECTORY.parent)
        yield made


def test_the_last_snapshot_comes_back(host: SimulatedHost) -> None:
    """Manifest, key, map and page hashes are as they were; another node or key does not take it for its own."""
    files = SnapshotFiles(host, DIRECTORY)
    assert files.read_last(SIGNER.verifier, slug=SLUG, node=NODE) is None
    last = taken(host, files, MadeUpView([page(number) for number in range(40)]))
    assert files.read_last(SIGNER.verifier, slug=SLUG, node=NODE) == last
    assert files.read_last(SIGNER.verifier, slug=SLUG, node="ward") is None
    assert files.read_last(Signer(SIGNER.name, b"t" * 32).verifier, slug=SLUG, node=NODE) is None


def test_a_damaged_state_is_none(host: SimulatedHost) -> None:
    """Any flipped byte, or a cut: the next snapshot is a full one."""
    files = SnapshotFiles(host, DIRECTORY)
    taken(host, files, MadeUpView([page(0)]))
    path = DIRECTORY / STATE_FILE
    whole = host.files.read(path)
    broken = [whole[:cut] for cut in (0, 31, 32, len(whole) - 1)]
    broken += [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in range(0, len(whole), 11)]
    for data in broken:
        host.files.replace(path, data)
        assert files.read_last(SIGNER.verifier, slug=SLUG, node=NODE) is None


def test_packs_wait_until_they_are_dropped(host: SimulatedHost) -> None:
    """Named ones stay; what has another name is not touched."""
    files = SnapshotFiles(host, DIRECTORY)
    one, two = (pack_name(1, bytes([number]) * 16) for number in (1, 2))
    files.keep_pack(one, b"one")
    files.keep_pack(two, b"two")
    host.files.put_new(DIRECTORY / "packs" / "notes", b"somebody's own")
    files.drop_packs(but=frozenset({two}))
    assert (files.pack(one), files.pack(two)) == (None, b"two")
    files.drop_packs()
    assert files.pack(two) is None
    assert host.files.exists(DIRECTORY / "packs" / "notes")


def test_a_full_disk_gives_the_snapshot_up(host: SimulatedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the journal would have no room: with a sentence that names the bound."""
    monkeypatch.setattr(type(host.files), "free_bytes", lambda self, path: 256 * 1024 * 1024 - 1)
    with pytest.raises(DiskFull, match="SNAPSHOT_FREE_BYTES_MIN"):
        SnapshotFiles(host, DIRECTORY).keep_pack(pack_name(1, bytes(16)), b"data")


def test_page_hashes_need_the_data_key() -> None:
    """The same page hashes differently under another key, so nobody without it can prepare two that agree."""
    hashes = set()
    for key in (b"k" * 32, b"l" * 32):
        hasher = page_hasher(key)
        hasher.update(page(1))
        hashes.add(hasher.digest())
    assert len(hashes) == 2
