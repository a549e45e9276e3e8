"""Segments: what goes in comes out, and each thing that can be wrong has its own error and names its place."""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import sha256

import msgspec
import pytest
import zstandard

from nirantar.errors import ConfigInvalid, EntryDamaged, IdentityWrong, LimitExceeded, SegmentDamaged
from nirantar.limits import ENTRY_BYTES_MAX, SEGMENT_ENTRIES_MAX, SEGMENT_PLAIN_BYTES_MAX
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.compact_range import range_hashes, range_proof
from nirantar.tlog.merkle import MemoryHashReader, leaf_hash, range_root
from nirantar.tlog.note import Signer
from nirantar.vault import segments
from nirantar.vault.encryption import decrypt, encrypt, new_identity, recipient_of
from nirantar.vault.segments import (
    SegmentHeader,
    check_sealed,
    encode_segment,
    entries_that_fit,
    header_bytes_max,
    open_segment,
    prove_header,
    read_header,
)

ORIGIN = "aiims-demo.nirantar/opd-1"
KEY = "opd-1/live/000000000010-3.segment"
ENTRIES = [b'{"v":1}', b'{"weight":72.50}', '{"name":"निरन्तर"}'.encode()]
HASHES = [sha256(b"\x00" + entry).digest() for entry in ENTRIES]
SIGNER = Signer(ORIGIN, bytes(32))
LOG = MemoryHashReader([leaf_hash(bytes([number])) for number in range(10)] + HASHES + [leaf_hash(b"after")])
PROOF = range_proof(10, 13, 14, LOG)
NOTE = Checkpoint(ORIGIN, 14, range_root(0, 14, LOG)).sign(SIGNER).decode()
IDENTITY, RECIPIENT = new_identity()


def segment() -> bytes:
    """A good one."""
    return encode_segment(ORIGIN, 10, ENTRIES, HASHES, proof=PROOF, checkpoint_note=NOTE, recipients=[RECIPIENT])


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
        v=2,
        origin=ORIGIN,
        first_index=10,
        count=3,
        left_hashes=b"".join(PROOF.left),
        leaf_hashes=b"".join(HASHES),
        right_hashes=b"".join(PROOF.right),
        ciphertext_sha256=header.ciphertext_sha256,
        checkpoint=NOTE,
    )
    assert [header.leaf_hash(position) for position in range(3)] == HASHES


def test_the_layout_is_a_line_an_empty_line_and_an_age_file() -> None:
    """What `tail -n +3` leaves is an age file; the header is one line of JSON."""
    head, empty, ciphertext = segment().split(b"\n", 2)
    assert msgspec.json.decode(head)["v"] == 2
    assert empty == b""
    assert ciphertext.startswith(b"age-encryption.org/v1\n")


def test_the_header_can_be_read_from_the_beginning_alone_and_without_an_identity() -> None:
    """A keeper checks header and ciphertext without a key; a reader of headers need not fetch the rest."""
    data = segment()
    head = data[: data.index(b"\n\n") + 2]
    assert read_header(head, key=KEY) == check_sealed(data, key=KEY)
    assert b"opd-1" in head
    assert ENTRIES[0] not in data


def test_a_segment_proves_itself() -> None:
    """With the node's public key alone: the checkpoint that it carries, and the frontier after its last entry."""
    header = read_header(segment(), key=KEY)
    checkpoint, frontier = prove_header(header, SIGNER.verifier, key=KEY)
    assert (checkpoint.tree_size, frontier.size, header.end) == (14, 13, 13)
    assert frontier.hashes == range_hashes(0, 13, LOG)


@pytest.mark.parametrize("field", ["left_hashes", "leaf_hashes", "right_hashes"])
def test_a_segment_with_other_hashes_proves_nothing(field: str) -> None:
    """Somebody who can add to the vault but has not the node's key: any hash that differs leads to another root."""
    fields = msgspec.json.decode(segment().partition(b"\n\n")[0])
    hashes = bytearray(b64decode(fields[field]))
    hashes[3] ^= 1
    header = read_header(with_header(segment(), **{field: b64encode(hashes).decode()}), key=KEY)
    with pytest.raises(SegmentDamaged, match="do not lead to the root"):
        prove_header(header, SIGNER.verifier, key=KEY)


def test_a_segment_that_another_key_signed_proves_nothing() -> None:
    """The checkpoint must be the node's own."""
    with pytest.raises(SegmentDamaged, match="sign"):
        prove_header(read_header(segment(), key=KEY), Signer(ORIGIN, bytes([1] * 32)).verifier, key=KEY)


def test_a_header_is_within_its_bound() -> None:
    """The bound for a range request holds the header of few and of many entries."""
    assert segment().index(b"\n\n") <= header_bytes_max(3)
    assert header_bytes_max(SEGMENT_ENTRIES_MAX) > SEGMENT_ENTRIES_MAX * 32 * 4 // 3


def test_each_of_several_recipients_opens_it_alone() -> None:
    """The rehearsal identity opens what the recovery identity opens."""
    other, other_recipient = new_identity()
    data = encode_segment(ORIGIN, 10, ENTRIES, HASHES, proof=PROOF, checkpoint_note=NOTE, recipients=[RECIPIENT, other_recipient])
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
            encode_segment(ORIGIN, 10, ENTRIES, HASHES, proof=PROOF, checkpoint_note=NOTE, recipients=recipients)
        assert IDENTITY not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"v": 3}, "format is 3; this program reads 1 to 2"),
        ({"v": 1}, "unknown field"),
        ({"left_hashes": ""}, "lead from its entries to its checkpoint"),
        ({"right_hashes": ""}, "lead from its entries to its checkpoint"),
        ({"origin": "aiims-demo.nirantar/opd-2"}, "is of the log"),
        ({"origin": "other.nirantar/opd-1"}, "checkpoint is of another log"),
        ({"first_index": 11}, "header says entries 11"),
        ({"count": 2}, "header says entries 10, 2"),
        ({"leaf_hashes": "AAAA"}, "one leaf hash"),
        ({"ciphertext_sha256": "00" * 32}, "encrypted part"),
        ({"checkpoint": NOTE.replace("\n14\n", "\n12\n")}, "does not cover"),
        ({"checkpoint": NOTE.replace("\n14\n", "\n١٤\n")}, "does not cover"),
        ({"checkpoint": NOTE.replace("\n14\n", "\n9223372036854775808\n")}, "does not cover"),
        ({"checkpoint": NOTE.replace("\n14\n", "\n16\n")}, "lead from its entries to its checkpoint"),
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
        data.replace(b'"v":2', b'"v": 2', 1),
        data.replace(b'{"v":2,', b"{", 1).replace(b"\n\n", b',"v":2}\n\n', 1).replace(b'},"v"', b',"v"', 1),
        data.replace(b'{"v":2,', b'{"v":2,"v":2,', 1),
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
        (zstandard.compress(bytes(ENTRY_BYTES_MAX + 2)), "ENTRY_BYTES_MAX"),
        (zstandard.compress(b"\n".join(ENTRIES) + b"\n" * 40_000_000), "it holds more than 3 entries"),
    ],
)
def test_content_that_does_not_fit_is_named(compressed: bytes, expected: str) -> None:
    """Missing entries, a missing end, no zstd, and a few bytes that unpack to more than the bound."""
    with pytest.raises(SegmentDamaged, match=expected):
        open_segment(with_plain(compressed), [IDENTITY], key=KEY)


def test_an_opened_segment_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that are all good, but more than a segment may hold, are refused before they fill the memory."""
    monkeypatch.setattr(segments, "SEGMENT_OPENED_BYTES_MAX", 20)
    with pytest.raises(SegmentDamaged, match="SEGMENT_OPENED_BYTES_MAX"):
        open_segment(segment(), [IDENTITY], key=KEY)


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
            encode_segment(ORIGIN, 10, [entry], hashes, proof=PROOF, checkpoint_note=NOTE, recipients=[RECIPIENT])
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
        encode_segment(
            ORIGIN, 10, ENTRIES[:1] * count, HASHES[:1] * count, proof=PROOF, checkpoint_note=NOTE, recipients=[RECIPIENT]
        )


def test_encryption_alone() -> None:
    """Attachments use the same age files without a segment around them."""
    sealed = encrypt(b"scan", [RECIPIENT])
    assert decrypt(sealed, [IDENTITY]) == b"scan"
