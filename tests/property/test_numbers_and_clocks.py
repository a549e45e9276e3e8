"""Numbers, clocks, rosters and entries, for whatever values come."""

from __future__ import annotations

import base64
import re
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from nirantar.errors import NirantarError
from nirantar.fhir import json
from nirantar.fold.grants import Grant, NumberBlock
from nirantar.fold.roster import Roster, next_block
from nirantar.interactions.numbers import Numbers, is_valid, with_check_digit
from nirantar.journal.entry import Change, Entry, Hlc, decode, encode
from nirantar.store.memory import MemoryView
from nirantar.tlog.note import Signer

SERIALS = st.integers(1, 10**12)
EXAMPLES = settings(derandomize=True, max_examples=100, deadline=None)


@given(serial=SERIALS, data=st.data())
@EXAMPLES
def test_every_wrong_digit_and_swap_is_caught(serial: int, data: st.DataObject) -> None:
    """Verhoeff's promise: one digit mistyped, or two neighbours swapped, never gives another valid number."""
    number = with_check_digit(serial)
    assert is_valid(number)
    place = data.draw(st.integers(0, len(number) - 1))
    digit = data.draw(st.sampled_from([each for each in "0123456789" if each != number[place]]))
    assert not is_valid(number[:place] + digit + number[place + 1 :])
    if place and number[place] != number[place - 1]:
        assert not is_valid(number[: place - 1] + number[place] + number[place - 1] + number[place + 1 :])


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4), extra=st.integers(0, 3))
@EXAMPLES
def test_no_number_is_ever_given_twice(sizes: list[int], extra: int) -> None:
    """Whatever blocks a node has, it gives each number of them once and then none."""
    blocks, first = [], 1
    for size in sizes:
        blocks.append(NumberBlock("uhid", first, first + size - 1))
        first += size + extra
    numbers = Numbers(MemoryView(number_series={}), blocks)
    taken = []
    for left in range(sum(sizes), 0, -1):
        assert numbers.left("uhid") == left
        taken.append(numbers.take("uhid"))
    assert len(set(taken)) == sum(sizes)
    assert numbers.left("uhid") == 0


@given(nodes=st.integers(1, 8))
@EXAMPLES
def test_blocks_of_nodes_never_overlap(nodes: int) -> None:
    """Each node of a roster gets numbers that no other has, series by series."""
    grants: list[Grant] = []
    for number in range(nodes):
        block = (next_block(grants, "uhid"), next_block(grants, "visit"))
        grants.append(Grant(f"n{number}", f"o/n{number}", "", numbers=block))
    for series in ("uhid", "visit"):
        blocks = [block for grant in grants for block in grant.numbers if block.series == series]
        assert all(one.last < two.first for one, two in pairwise(blocks))


CLOCKS = st.builds(Hlc, st.integers(0, 2**53), st.integers(0, 2**31))


@given(clock=CLOCKS, now_us=st.integers(0, 2**53))
@EXAMPLES
def test_the_logical_clock_never_goes_back(clock: Hlc, now_us: int) -> None:
    """Whatever the wall shows, the next reading is greater, never behind the wall, and survives as text."""
    after = clock.after(now_us)
    assert after > clock
    assert after.wall_us >= now_us
    assert Hlc.parse(str(after)) == after


@given(walls=st.lists(st.integers(0, 10), max_size=30))
@EXAMPLES
def test_readings_of_one_node_are_all_different(walls: list[int]) -> None:
    """A clock that jumps at will still orders every event as it happened."""
    clock, seen = Hlc(0, 0), []
    for now_us in walls:
        clock = clock.after(now_us)
        seen.append(clock)
    assert seen == sorted(set(seen))


@given(text=st.text(max_size=12) | st.text("0123²٣.", max_size=6))
@EXAMPLES
def test_a_clock_is_digits_dot_digits_or_refused(text: str) -> None:
    """Nothing else is read as a clock, and no other error than ValueError comes of it."""
    try:
        clock = Hlc.parse(text)
    except ValueError:
        return
    wall, counter = text.split(".")
    assert (clock.wall_us, clock.counter) == (int(wall), int(counter))


TEXTS = st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | TEXTS | st.integers(-(2**53), 2**53) | st.decimals(allow_nan=False, allow_infinity=False, places=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(
    body=st.dictionaries(TEXTS, JSON, max_size=4), texts=st.tuples(TEXTS, TEXTS, TEXTS), reason=st.none() | TEXTS,
    parents=st.lists(TEXTS, max_size=3), salt=st.binary(min_size=16, max_size=16), deleted=st.booleans(),
)
@EXAMPLES
def test_an_entry_comes_back_byte_for_byte(
    body: dict[str, Any], texts: tuple[str, str, str], reason: str | None, parents: list[str], salt: bytes, deleted: bool
) -> None:
    """Encode, decode and encode again give the same bytes, the resource inside them untouched."""
    raw = json.encode(body)
    change = Change("DELETE", texts[0], "i", "n.0", tuple(parents)) if deleted else Change(
        "PUT", texts[0], "i", "n.0", tuple(parents), msgspec.Raw(raw)
    )
    entry = Entry(
        1, "id", "o/n", "1.0", "2026-11-23T08:30:00.000Z", texts[1], "doctor", texts[2], "test", (change,),
        base64.b64encode(salt).decode(), reason=reason,
    )
    data = encode(entry)
    again = decode(data, "o/n", 0)
    assert again is not None
    assert encode(again) == data
    assert again.changes[0].resource_bytes == (None if deleted else raw)
    assert (again.reason, again.changes[0].parents) == (reason, tuple(parents))


@given(data=st.binary(max_size=200) | JSON.map(json.encode))
@EXAMPLES
def test_what_is_no_entry_is_damaged_and_nothing_else(data: bytes) -> None:
    """Whatever bytes stand in a log, reading them ends in an entry, None, or an error of ours that quotes nothing."""
    said = ""
    try:
        decode(data, "o/n", 0)
    except NirantarError as error:
        said = str(error)
    assert re.fullmatch(r"(Entry 0 of o/n: not an entry of format 1 \(\w+\))?", said)


AUTHORITY = Signer("nirantar.test/authority", b"a" * 32)
ROSTER = Roster("test", 3, (
    Grant("opd", "nirantar.test/opd", "vkey+1+x", numbers=(NumberBlock("uhid", 1, 9),), last_size=7),
    Grant("lab", "nirantar.test/lab", "vkey+2+y", types=("Observation",), roles=("lab-technician",)),
))
NOTE = ROSTER.sign(AUTHORITY)


@given(place=st.integers(0, len(NOTE) - 1), byte=st.integers(0, 255), how=st.sampled_from(["change", "cut", "add"]))
@EXAMPLES
def test_a_mutated_roster_is_never_another_roster(place: int, byte: int, how: str) -> None:
    """No changed, missing or added byte gives a roster that the authority did not sign."""
    mutated = {
        "change": NOTE[:place] + bytes([byte]) + NOTE[place + 1 :],
        "cut": NOTE[:place] + NOTE[place + 1 :],
        "add": NOTE[:place] + bytes([byte]) + NOTE[place:],
    }[how]
    try:
        opened = Roster.open(mutated, AUTHORITY.verifier)
    except NirantarError:
        return
    assert opened == ROSTER
