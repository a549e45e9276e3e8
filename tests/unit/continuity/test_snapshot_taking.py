"""Taking a snapshot: what is looked at, what is written, when it must be full, and when it is given up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from nirantar.continuity.snapshot_state import SnapshotFiles
from nirantar.continuity.snapshot_taking import SnapshotTaker
from nirantar.errors import Overloaded, Unavailable
from nirantar.host.simulated import SimulatedHost
from nirantar.limits import SNAPSHOT_HELD_PAGES_MAX
from nirantar.vault.encryption import new_identity
from snapshot_parts import DIRECTORY, ISSUER, MadeUpView, taken
from snapshots_at_hand import page

DAY_US = 86_400_000_000


@pytest.fixture
def host() -> Iterator[SimulatedHost]:
    """A simulated machine."""
    with SimulatedHost(4) as made:
        made.files.make_directory(DIRECTORY.parent)
        yield made


@pytest.fixture
def files(host: SimulatedHost) -> SnapshotFiles:
    """Its files for snapshots."""
    return SnapshotFiles(host, DIRECTORY)


def flags(*pages: int) -> bytes:
    """What a view tells of these pages."""
    return bytes(1 if page in pages else 0 for page in range(max(pages, default=-1) + 1))


def test_the_first_is_full(host: SimulatedHost, files: SnapshotFiles) -> None:
    """Every page, whatever is told of changes, under a key and an epoch of its own."""
    view = MadeUpView([page(number) for number in range(40)], changed=flags(3))
    last = taken(host, files, view, serial=5)
    assert view.looked_at == list(range(40))
    contents = last.manifest.contents
    assert (last.manifest.serial, contents.epoch, contents.page_count) == (5, 5, 40)
    assert contents.view_digest == "01" * 32
    assert contents.created == contents.epoch_began


def test_a_difference_looks_at_what_is_told(host: SimulatedHost, files: SnapshotFiles) -> None:
    """Told and new pages are looked at; a told page that did not change is not written again."""
    pages = [page(number) for number in range(40)]
    first = taken(host, files, MadeUpView(pages))
    pages = [*pages, page(40)]
    pages[7] = page(7, 1)
    view = MadeUpView(pages, changed=flags(7, 20), entries=2)
    second = taken(host, files, view, first, serial=2)
    assert view.looked_at == [7, 20, 40]
    assert {pack: uses for chunk in second.chunks for pack, uses in chunk.use.items()} == {1: 39, 2: 2}
    assert second.manifest.contents.keys == first.manifest.contents.keys
    assert second.manifest.contents.epoch_began == first.manifest.contents.epoch_began


def test_where_nothing_is_told_hashes_tell(host: SimulatedHost, files: SnapshotFiles) -> None:
    """After a start: all pages are looked at, only the changed one is written."""
    pages = [page(number) for number in range(40)]
    first = taken(host, files, MadeUpView(pages))
    pages[39] = page(39, 1)
    second = taken(host, files, MadeUpView(pages), first, serial=2)
    assert {pack: uses for chunk in second.chunks for pack, uses in chunk.use.items()} == {1: 39, 2: 1}


def test_nothing_new_is_no_snapshot(host: SimulatedHost, files: SnapshotFiles) -> None:
    """Pages that were written with what they held before make none."""
    pages = [page(number) for number in range(40)]
    first = taken(host, files, MadeUpView(pages))
    again = MadeUpView(pages, changed=flags(*range(40)))
    assert SnapshotTaker(host, files, ISSUER, lambda: None).take(again, first, 2) is None


def test_a_view_that_shrank_and_grew(host: SimulatedHost, files: SnapshotFiles) -> None:
    """Pages that go are forgotten; pages that come back are written, whatever they were before."""
    pages = [page(number) for number in range(40)]
    first = taken(host, files, MadeUpView(pages))
    shorter = taken(host, files, MadeUpView(pages[:10], changed=b""), first, serial=2)
    assert shorter.manifest.contents.page_count == 10
    longer = MadeUpView(pages[:12], changed=flags(10, 11))
    taken(host, files, longer, shorter, serial=3)
    assert longer.looked_at == [10, 11]


def test_half_the_retention_later_it_must_be_full(host: SimulatedHost, files: SnapshotFiles) -> None:
    """Fourteen days after the epoch began, or where the clock was set back before it, nothing old is referred to."""
    last = taken(host, files, MadeUpView([page(0)]))
    taker, began_us = SnapshotTaker(host, files, ISSUER, lambda: None), host.now_us()
    for days, builds_on in ((1, True), (13.9, True), (14.1, False), (-1, False)):
        host.set_wall_us(began_us + int(days * DAY_US))
        assert taker.may_build_on(last) == builds_on


def test_after_a_rotation_it_must_be_full(host: SimulatedHost, files: SnapshotFiles) -> None:
    """The old identity opens nothing that is written after it was replaced: the next data key is new."""
    last = taken(host, files, MadeUpView([page(0)]))
    other = new_identity()[1]
    rotated = SnapshotTaker(host, files, replace(ISSUER, recipients=lambda: (other,)), lambda: None)
    assert not rotated.may_build_on(last)
    after = rotated.take(MadeUpView([page(0)]), None, 2)
    assert after is not None
    assert after.data_key != last.data_key
    assert rotated.may_build_on(after)


def test_it_is_given_up_when_asked_or_when_too_much_waits(host: SimulatedHost, files: SnapshotFiles) -> None:
    """The node stops, or the view's log grows beyond its bound: no state is kept."""
    view = MadeUpView([page(number) for number in range(40)])

    def stop() -> None:
        raise Unavailable("stopping")

    with pytest.raises(Unavailable, match="stopping"):
        SnapshotTaker(host, files, ISSUER, stop).take(view, None, 1)
    view.held_pages = SNAPSHOT_HELD_PAGES_MAX + 1
    with pytest.raises(Overloaded, match="SNAPSHOT_HELD_PAGES_MAX"):
        SnapshotTaker(host, files, ISSUER, lambda: None).take(view, None, 1)
    assert files.read_last(ISSUER.signer.verifier, slug=ISSUER.slug, node=ISSUER.node) is None
