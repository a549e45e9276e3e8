"""Segments: what goes in comes out, and each thing that can be wrong has its own error and names its place."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest
import zstandard

from nirantar.errors import ConfigInvalid, EntryDamaged, IdentityWrong, LimitExceeded, SegmentDamaged
from nirantar.limits import SEGMENT_ENTRIES_MAX, SEGMENT_OPENED_BYTES_MAX, SEGMENT_PLAIN_BYTES_MAX
from nirantar.vault.encryption import decrypt, encrypt, new_identity, recipient_of
from nirantar.vault.segments import (
    SegmentHeader,
    check_sealed,
    encode_segment,
    entries_that_fit,
    open_segment,
    read_header,
)

ORIGIN = "aiims-demo.nirantar/opd-1"
KEY = "opd-1/live/000000000010-3.segment"
ENTRIES = [b'{"v":1}', b'{"weight":72.50}', '{"name":"निरन्तर"}'.encode()]
HASHES = [sha256(b"\x00" + entry).digest() for entry in ENTRIES]
NOTE = f"{ORIGIN}\n13\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— {ORIGIN} c2lnbmF0dXJl\n"
IDENTITY, RECIPIENT = new_identity()


def segment() -> bytes:
    """A good one."""
    return encode_segment(ORIGIN, 10, ENTRIES, HASHES, NOTE, [RECIPIENT])


def with_header(data: bytes, **changes: object) -> bytes:
    """The same segment with header fields changed, spelt as encode_segment spells it."""
    head, _, rest = data.partition(b"\n\n")
    fields = msgspec.json.decode(head)
    return msgspec.json.encode(fields | changes) + b"\n\n" + rest


def with_plain(compressed: bytes) -> bytes:
    """A segment whose ciphertext holds `compressed`, under a header that names that ciphertext."""
    ciphertext = encrypt(compressed, [RECIPIENT])
    head = segment().partition(b"\n\n")[0]
    return with_header(head + b"\n\n" + ciphertext, ciphertext_sha256=sha256(ciphertext).hexdigest())


def test_entries_come_back_exactly() -> None:
    """Header and entries survive, decimals and Devanagari byte for byte."""
    header, entries = open_segment(segment(), [IDENTITY], key=KEY)
    assert entries == ENTRIES
    assert header == SegmentHeader(
        v=1,
        origin=ORIGIN,
        first_index=10,
        count=3,
        leaf_hashes=b"".join(HASHES),
        ciphertext_sha256=header.ciphertext_sha256,
        checkpoint=NOTE,
    )
    assert [header.leaf_hash(position) for position in range(3)] == HASHES


def test_the_layout_is_a_line_an_empty_line_and_an_age_file() -> None:
    """What `tail -n +3` leaves is an age file; the header is one line of JSON."""
    head, empty, ciphertext = segment().split(b"\n", 2)
    assert msgspec.json.decode(head)["v"] == 1
    assert empty == b""
    assert ciphertext.startswith(b"age-encryption.org/v1\n")


def test_the_header_can_be_read_from_the_beginning_alone_and_without_an_identity() -> None:
    """A keeper checks header and ciphertext without a key; a reader of headers need not fetch the rest."""
    data = segment()
    head = data[: data.index(b"\n\n") + 2]
    assert read_header(head, key=KEY) == check_sealed(data, key=KEY)
    assert b"opd-1" in head
    assert ENTRIES[0] not in data


def test_each_of_several_recipients_opens_it_alone() -> None:
    """The rehearsal identity opens what the recovery identity opens."""
    other, other_recipient = new_identity()
    data = encode_segment(ORIGIN, 10, ENTRIES, HASHES, NOTE, [RECIPIENT, other_recipient])
    for identity in (IDENTITY, other):
        assert open_segment(data, [identity], key=KEY)[1] == ENTRIES
    assert recipient_of(other) == other_recipient


def test_a_wrong_identity_says_so() -> None:
    """Another hospital's identity and a text that is none are IdentityWrong, not damage."""
    for identities in ([new_identity()[0]], ["AGE-SECRET-KEY-1NONSENSE"], [RECIPIENT], []):
        with pytest.raises(IdentityWrong):
            open_segment(segment(), identities, key=KEY)


def test_a_wrong_recipient_is_a_wrong_setting() -> None:
    """Nothing is sealed to a typing error, to an identity by mistake, or to nobody."""
    for recipients in (["age1nonsense"], [IDENTITY], []):
        with pytest.raises(ConfigInvalid) as caught:
            encode_segment(ORIGIN, 10, ENTRIES, HASHES, NOTE, recipients)
        assert IDENTITY not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"v": 2}, "format is 2"),
        ({"origin": "aiims-demo.nirantar/opd-2"}, "is of the log"),
        ({"origin": "other.nirantar/opd-1"}, "checkpoint is of another log"),
        ({"first_index": 11}, "header says entries 11"),
        ({"count": 2}, "header says entries 10, 2"),
        ({"leaf_hashes": "AAAA"}, "one leaf hash"),
        ({"ciphertext_sha256": "00" * 32}, "encrypted part"),
        ({"checkpoint": NOTE.replace("\n13\n", "\n12\n")}, "does not cover"),
        ({"checkpoint": NOTE.replace("\n13\n", "\n١٣\n")}, "does not cover"),
        ({"checkpoint": ""}, "another log"),
        ({"more": 1}, "unknown field"),
        ({"count": -3}, "header says"),
        ({"count": "3"}, "header is not one"),
    ],
)
def test_a_header_that_does_not_fit_is_named(changes: dict[str, object], expected: str) -> None:
    """Each field of the header is held against the key, the checkpoint or the content."""
    with pytest.raises(SegmentDamaged, match=expected) as caught:
        open_segment(with_header(segment(), **changes), [IDENTITY], key=KEY)
    assert caught.value.key == KEY


def test_a_header_has_one_spelling() -> None:
    """A space, another order of fields or a repeated field is refused: two readers cannot read two headers."""
    data = segment()
    for changed in (
        data.replace(b'"v":1', b'"v": 1', 1),
        data.replace(b'{"v":1,', b"{", 1).replace(b"\n\n", b',"v":1}\n\n', 1).replace(b'},"v"', b',"v"', 1),
        data.replace(b'{"v":1,', b'{"v":1,"v":1,', 1),
    ):
        with pytest.raises(SegmentDamaged):
            read_header(changed, key=KEY)


def test_an_object_under_another_key_is_refused() -> None:
    """A segment copied to another place of the vault does not pass for that place's."""
    for key in ("opd-1/live/000000000011-3.segment", "opd-2/live/000000000010-3.segment", "opd-1/tile/0/000"):
        with pytest.raises(SegmentDamaged):
            open_segment(segment(), [IDENTITY], key=key)


@pytest.mark.parametrize("size", [0, 1, 100, -1, -100])
def test_a_cut_segment_is_damaged(size: int) -> None:
    """Cut anywhere: in the header, in the age header, in the last chunk."""
    with pytest.raises(SegmentDamaged):
        open_segment(segment()[:size], [IDENTITY], key=KEY)


def test_an_altered_entry_is_named_by_its_index() -> None:
    """Somebody with the recipient (it is public) encrypts other entries under a consistent header: the leaf hash
    finds the entry."""
    lines = b"\n".join([ENTRIES[0], b'{"weight":72.51}', ENTRIES[2]]) + b"\n"
    with pytest.raises(EntryDamaged) as caught:
        open_segment(with_plain(zstandard.compress(lines)), [IDENTITY], key=KEY)
    assert caught.value.entry_index == 11
    assert "72.5" not in str(caught.value)


@pytest.mark.parametrize(
    ("compressed", "expected"),
    [
        (zstandard.compress(b"\n".join(ENTRIES[:2]) + b"\n"), "it holds 2 entries"),
        (zstandard.compress(b"\n".join(ENTRIES)), "last entry is cut"),
        (zstandard.compress(b""), "last entry is cut"),
        (b"not zstd", "not zstd"),
        (zstandard.compress(bytes(SEGMENT_OPENED_BYTES_MAX + 2)), "SEGMENT_OPENED_BYTES_MAX"),
    ],
)
def test_content_that_does_not_fit_is_named(compressed: bytes, expected: str) -> None:
    """Missing entries, a missing end, no zstd, and a few bytes that unpack to more than the bound."""
    with pytest.raises(SegmentDamaged, match=expected):
        open_segment(with_plain(compressed), [IDENTITY], key=KEY)


def test_a_ciphertext_that_is_no_age_file_is_damaged() -> None:
    """A header may name anything; what it names must decrypt."""
    junk = b"age-encryption.org/v1\njunk"
    data = with_header(segment().partition(b"\n\n")[0] + b"\n\n" + junk, ciphertext_sha256=sha256(junk).hexdigest())
    with pytest.raises(SegmentDamaged, match="age"):
        open_segment(data, [IDENTITY], key=KEY)


def test_damaged_entries_are_not_sealed() -> None:
    """An entry that differs from its leaf hash, is empty, or is not one line never reaches a vault."""
    for entry in (b'{"v":2}', b"", b'{"v":\n1}'):
        hashes = HASHES[:1] if entry == b'{"v":2}' else [sha256(b"\x00" + entry).digest()]
        with pytest.raises(EntryDamaged) as caught:
            encode_segment(ORIGIN, 10, [entry], hashes, NOTE, [RECIPIENT])
        assert caught.value.entry_index == 10


def test_entries_that_fit() -> None:
    """Bounded by count and by bytes; a single large entry goes alone; nothing waiting is nothing."""
    assert entries_that_fit([]) == 0
    assert entries_that_fit([10] * (SEGMENT_ENTRIES_MAX + 5)) == SEGMENT_ENTRIES_MAX
    assert entries_that_fit([SEGMENT_PLAIN_BYTES_MAX * 2, 10]) == 1
    assert entries_that_fit([10, SEGMENT_PLAIN_BYTES_MAX * 2]) == 1
    assert entries_that_fit([SEGMENT_PLAIN_BYTES_MAX // 2 - 1, SEGMENT_PLAIN_BYTES_MAX // 2 - 1, 1]) == 2


def test_too_many_entries_are_refused() -> None:
    """encode_segment holds its caller to entries_that_fit."""
    count = SEGMENT_ENTRIES_MAX + 1
    with pytest.raises(LimitExceeded, match="SEGMENT_ENTRIES_MAX"):
        encode_segment(ORIGIN, 10, ENTRIES[:1] * count, HASHES[:1] * count, NOTE, [RECIPIENT])


def test_encryption_alone() -> None:
    """Attachments use the same age files without a segment around them."""
    sealed = encrypt(b"scan", [RECIPIENT])
    assert decrypt(sealed, [IDENTITY]) == b"scan"
