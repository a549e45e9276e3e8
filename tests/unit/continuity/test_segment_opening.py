"""Opening a segment: what is given of its entries, and what is said of those that cannot be read."""

from __future__ import annotations

import pytest

from nirantar.continuity.segment_opening import Mark, Part, SegmentOpener
from nirantar.errors import SegmentDamaged
from nirantar.host.simulated import SimulatedHost
from nirantar.journal.entry import Attachment, Change, Entry, encode
from sealed_log import ORIGIN, SealedLog, empty_vault


def entry(number: int, *, attachments: tuple[str, ...] = ()) -> bytes:
    """An entry of so many versions."""
    return encode(Entry(
        1, f"id-{number}", ORIGIN, f"{number}.0", "2026-11-23T07:00:00Z", "a", "doctor", "w", "test",
        tuple(Change("DELETE", "Patient", f"{each}", "v") for each in range(number)), "c2FsdA==",
        attachments=tuple(Attachment(each, "key", 1) for each in attachments),
    ))


LOG = SealedLog(0, entries=[entry(0), b"no entry", entry(2, attachments=("aa", "bb")), b'{"v":2}', entry(4)])


@pytest.mark.parametrize("outline", [True, False])
def test_each_entry_gives_its_bytes_or_its_outline(outline: bool) -> None:
    """Bytes for whoever copies the log; numbers of versions, and a sentence for what is no entry, for whoever checks it.
    Attachments in both, and a newer format is no damage."""
    with SimulatedHost(1) as host:
        vault = empty_vault(host)
        (key,) = LOG.seal(vault, 0, 5)
        opener = SegmentOpener([LOG.identity], outline=outline)
        fetched = opener.fetch(vault, key, LOG.signer.verifier)
        (part,) = opener.parts(fetched)
    assert (part.count, part.entries, part.versions) == (5, [] if outline else LOG.entries, [0, 0, 2, 0, 4] if outline else [])
    *damaged, attached = part.marks
    assert attached == Mark(2, "", ["aa", "bb"])
    assert [(each.position, "not an entry" in each.damage) for each in damaged] == ([(1, True)] if outline else [])
    assert fetched.checkpoint is not None
    assert fetched.checkpoint.tree_size == 5


def test_a_part_without_its_first_entries() -> None:
    """What is said of an entry stays with it; what is said of those before goes with them."""
    part = Part(3, [b"a", b"b", b"c"], [1, 2, 3], [Mark(0, "bad", []), Mark(2, "", ["aa"])])
    assert part.after(0) is part
    assert part.after(1) == Part(2, [b"b", b"c"], [2, 3], [Mark(1, "", ["aa"])])


def test_another_vault_with_other_entries_is_damage() -> None:
    """The same key in two vaults must be the same entries: the header that was proven decides."""
    with SimulatedHost(1) as host:
        vault, other = empty_vault(host), empty_vault(host, "other")
        (key,) = LOG.seal(vault, 0, 5)
        SealedLog(5, twist="other").seal(other, 0, 5)
        opener = SegmentOpener([LOG.identity], outline=True)
        fetched = opener.fetch(vault, key, LOG.signer.verifier)
        assert len(list(opener.parts(fetched.of(vault)))) == 1
        with pytest.raises(SegmentDamaged, match="other leaf hashes"):
            list(opener.parts(fetched.of(other)))
