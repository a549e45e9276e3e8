"""From journals to the view: whatever is in a log, the view ends right or the damage is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nirantar.continuity.replay import bring_forward
from nirantar.errors import Damaged, EntryDamaged
from nirantar.fold.grants import Grant
from nirantar.host.times import instant
from nirantar.interactions.operations import create, update
from nirantar.interactions.transaction import Purpose
from nirantar.journal.entry import Entry, encode
from nirantar.store.memory import MemoryView
from nirantar.tlog.note import Signer
from simulated_node import INTEGRATION, ORIGIN, UHID_SYSTEM, SimulatedNode, a_patient

OTHER = "nirantar.test/lab"


@pytest.fixture
def node() -> Iterator[SimulatedNode]:
    """A node with three versions of one patient, and an empty log of another node."""
    with SimulatedNode() as made:
        for family in ("One", "Two", "Three"):
            made.transact(INTEGRATION, [update(a_patient(family, id="p"))], Purpose("test"))
        made.journal.begin()
        made.journal.add_log(OTHER, Signer(OTHER, b"o" * 32).vkey)
        made.journal.keep()
        yield made


def empty_view() -> MemoryView:
    """A view that grants both nodes everything."""
    view = MemoryView(number_series={UHID_SYSTEM: "uhid"})
    view.use_grants({ORIGIN: Grant("opd-1", ORIGIN, ""), OTHER: Grant("lab", OTHER, "")})
    return view


def append(node: SimulatedNode, data: bytes) -> None:
    """An entry of the other node, exactly as given."""
    node.journal.begin()
    node.journal.append(data, OTHER)
    node.journal.keep()


def digest(view: MemoryView) -> bytes:
    """What the view is."""
    with view.reader() as state:
        return state.view_digest()


def test_a_view_is_the_fold_wherever_it_begins(node: SimulatedNode) -> None:
    """From nothing, from a part, and again over what is there: the same digest, and only what is lacking is folded."""
    whole, parts = empty_view(), empty_view()
    assert bring_forward(node.reader, whole) == 3
    for size, folded in ((1, 1), (1, 0), (3, 2), (3, 0)):
        assert bring_forward(node.reader, parts, stop_at={ORIGIN: size, OTHER: 0}) == folded
    assert digest(parts) == digest(whole) == digest(node.view)


def test_a_view_of_another_history_is_made_anew(node: SimulatedNode) -> None:
    """One that ran ahead of its journal, or folded other entries, keeps nothing of them."""
    ahead, other = empty_view(), empty_view()
    bring_forward(node.reader, ahead)
    with SimulatedNode() as stranger:
        stranger.transact(INTEGRATION, [create(a_patient("Stranger"))], Purpose("test"))
        bring_forward(stranger.reader, other)
    assert bring_forward(node.reader, other) == 3
    assert digest(other) == digest(ahead)
    assert bring_forward(node.reader, ahead, stop_at={ORIGIN: 1}) == 1
    with ahead.reader() as state:
        assert state.positions()[ORIGIN].entries == 1


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{}", "not an entry"), (b"\xff", "not an entry"), (b"[" * 9000, "not an entry"),
        (b'{"v":2,"more":1}', "newer than this program"),
        (b'{"v":0}', "not an entry"),
        (encode(Entry(1, "i", OTHER, "soon", instant(0), "a", "doctor", "w", "t", (), "")), "time"),
        (encode(Entry(1, "i", OTHER, "9" * 30 + ".0", instant(0), "a", "doctor", "w", "t", (), "")), "range"),
        (encode(Entry(1, "i", OTHER, "1.0", "yesterday", "a", "doctor", "w", "t", (), "")), "time"),
    ],
)
def test_a_forged_entry_is_kept_as_evidence_and_stops_nothing(node: SimulatedNode, data: bytes, why: str) -> None:
    """Whoever holds one node's key cannot keep the hospital from starting or recovering by what he signs."""
    append(node, data)
    append(node, encode(Entry(1, "i", OTHER, "1.0", instant(0), "a", "doctor", "w", "t", (), "")))
    view = empty_view()
    assert bring_forward(node.reader, view) == 5
    with view.reader() as state:
        ((origin, index, said),) = state.unfolded()
        assert (origin, index, why in said) == (OTHER, 0, True), said
        assert state.read("Patient", "p") is not None
        assert state.positions()[OTHER].entries == 2


def test_a_lost_entry_keeps_its_place(node: SimulatedNode) -> None:
    """Entries before and after it are folded; it is named as missing."""
    node.journal.begin()
    node.journal.append_missing(b"\1" * 32, OTHER)
    node.journal.keep()
    view = empty_view()
    bring_forward(node.reader, view)
    with view.reader() as state:
        assert [index for _, index, why in state.unfolded() if "missing" in why] == [0]


def test_changed_bytes_are_named_and_nothing_is_half_folded(node: SimulatedNode) -> None:
    """An entry that differs from its leaf hash, or is gone from the middle or the end, is an error with its index."""
    node.journal._connection.execute("UPDATE entry SET data = x'7b7d' WHERE row % 1024 = 1")
    with pytest.raises(EntryDamaged, match=f"Entry 1 of {ORIGIN}"):
        bring_forward(node.reader, empty_view())
    node.journal._connection.execute("DELETE FROM entry WHERE row % 1024 = 1")
    view = empty_view()
    with pytest.raises(EntryDamaged, match=f"Entry 1 of {ORIGIN}: it is not in the journal"):
        bring_forward(node.reader, view)
    with view.reader() as state:
        assert state.counts() == {}


def test_a_cut_end_is_named(node: SimulatedNode) -> None:
    """A log that ends before the size that is asked for says where."""
    with pytest.raises(Damaged, match=f"journal of {ORIGIN} ends at entry 3 where 4 are expected"):
        bring_forward(node.reader, empty_view(), stop_at={ORIGIN: 4})
