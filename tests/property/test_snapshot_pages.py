"""Snapshots as a whole: any history of pages comes back, and no flipped byte of any object goes unseen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirantar.errors import IdentityWrong, SnapshotDamaged
from nirantar.host.simulated import SimulatedHost
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.keys import ManifestKey, PackKey, parse
from nirantar.vault.page_map import MapChunk, chunk_count, decode_chunk, encode_chunk
from nirantar.vault.snapshot_writing import packs_in_use, packs_to_empty, pages_in_packs
from nirantar.vault.snapshots import open_snapshot, read_manifest
from snapshots_at_hand import IDENTITY, NODE, SIGNER, SLUG, SnapshotMaker, made, page

HISTORY = st.lists(st.tuples(st.integers(1, 90), st.sets(st.integers(0, 89), max_size=30)), min_size=1, max_size=6)


def pages_of(vault: DirectoryVault, serial: int) -> list[bytes]:
    """Everything that a snapshot gives, in bulk."""
    manifest = read_manifest([vault], SIGNER.verifier, slug=SLUG, node=NODE, serial=serial)
    source = open_snapshot([vault], manifest, [IDENTITY])
    found: dict[int, bytes] = {}
    for pages in source.fetch_many(range(source.page_count)):
        found |= pages
    return [found[number] for number in range(source.page_count)]


@given(history=HISTORY)
@settings(derandomize=True, max_examples=25, deadline=None)
def test_any_history_comes_back(history: list[tuple[int, set[int]]]) -> None:
    """After any sequence of changes, growth and shrinking each snapshot gives exactly its pages, and its map names
    each page once, in a frame that has it."""
    with SimulatedHost(seed=1) as host:
        maker, states = made(host), []
        for version, (count, touched) in enumerate(history):
            changed = {number for number in touched if number < count} | set(range(len(maker.pages), count))
            maker.write({number: page(number, version) for number in changed}, count)
            states.append(list(maker.pages))
            current = [
                each for number, chunk in enumerate(maker.chunks)
                for each in _current(decode_chunk(chunk.data, number * 16_384, count, key="k"))
            ]
            assert sorted(current) == list(range(count))
        for serial, state in enumerate(states, 1):
            assert pages_of(maker.vault, serial) == state


def _current(chunk: MapChunk) -> Iterator[int]:
    for frame in chunk.frames:
        yield from chunk.current_pages(frame)
    assert decode_chunk(encode_chunk(chunk), chunk.first_page, chunk.page_count, key="k") == chunk


@given(use=st.dictionaries(st.integers(1, 9_999), st.integers(1, 500), max_size=400), pages=st.integers(1, 100_000))
@settings(derandomize=True, deadline=None)
def test_packs_stay_few(use: dict[int, int], pages: int) -> None:
    """Whatever packs there are: the emptiest are chosen, and only where there are too many."""
    chosen = packs_to_empty(use, pages)
    room = 128 + pages * 4096 // (16 * 1024 * 1024)
    assert bool(chosen) == (len(use) > room)
    assert len(use) - len(chosen) <= room
    left = use.keys() - chosen
    assert not chosen or not left or max(use[each] for each in chosen) <= min(use[each] for each in left)


def test_pages_of_chosen_packs_are_found() -> None:
    """Exactly the pages that lie in the packs are named, in order; once they are written again nothing refers there."""
    with SimulatedHost(seed=1) as host:
        maker = made(host)
        maker.write({number: page(number) for number in range(20)}, 20)
        maker.write({3: page(3, 1), 18: page(18, 1)}, 20)
        assert list(pages_in_packs(maker.chunks, 20, frozenset({2}), NODE)) == [3, 18]
        assert packs_in_use(maker.chunks) == {1: 18, 2: 2}
        maker.write({number: maker.pages[number] for number in (3, 18)}, 20)
        assert sorted(packs_in_use(maker.chunks)) == [1, 3]


@pytest.fixture(scope="module")
def small() -> Iterator[SnapshotMaker]:
    """A vault with one small snapshot of two generations."""
    with SimulatedHost(seed=2) as host:
        maker = made(host)
        maker.write({number: page(number) for number in range(18)}, 18)
        maker.write({5: page(5, 1)}, 18)
        yield maker


def test_every_flipped_byte_is_seen(small: SnapshotMaker) -> None:
    """Each byte of each object that the newest snapshot rests on, one at a time: the snapshot is refused."""
    used = {str(ManifestKey(NODE, 2)), f"{NODE}/map/{small.chunks[0].digest}"}
    used |= {str(PackKey(NODE, pack.name)) for pack in small.packs.values()}
    keys = list(small.vault.list(""))
    assert used <= set(keys)
    assert chunk_count(18) == len(small.chunks)
    for key in sorted(used):
        whole = small.vault.get(key)
        for position in range(len(whole)):
            altered = bytearray(whole)
            altered[position] ^= 1 << position % 8
            vault = Altered(small.vault, key, bytes(altered))
            try:
                found = pages_of(vault, 2)  # type: ignore[arg-type]
            except (SnapshotDamaged, IdentityWrong):
                continue
            # A frame whose every page was replaced since is not read, and a signature line of a key that nobody
            # knows is ignored: neither happens here.
            raise AssertionError(f"byte {position} of {type(parse(key)).__name__} went unseen: {found == small.pages}")


class Altered:
    """A vault in which one object has other bytes."""

    def __init__(self, vault: DirectoryVault, key: str, data: bytes) -> None:
        self._vault, self._key, self._data = vault, key, data

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        if key != self._key:
            return self._vault.get(key, start, length)
        return self._data[start:] if length is None else self._data[start : start + length]


@given(cut=st.integers(0, 2_000))
@settings(derandomize=True, max_examples=60, deadline=None)
def test_every_truncation_is_seen(cut: int) -> None:
    """An object that ends too early is refused, wherever it ends."""
    with SimulatedHost(seed=2) as host:
        maker = made(host)
        maker.write({number: page(number) for number in range(18)}, 18)
        for key in maker.vault.list(""):
            whole = maker.vault.get(key)
            vault = Altered(maker.vault, key, whole[: min(cut, len(whole) - 1)])
            with pytest.raises((SnapshotDamaged, IdentityWrong)):
                pages_of(vault, 1)  # type: ignore[arg-type]


def test_the_vault_is_a_directory_that_others_can_read(small: SnapshotMaker) -> None:
    """Every object lies under a key that the key module reads back."""
    assert all(parse(key) is not None for key in small.vault.list(""))
    assert Path(small.vault.location.removeprefix("file://")) == Path("/vault")
