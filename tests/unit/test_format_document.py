"""docs/format.md is true: every value of its worked example is computed again from its entries and keys by the code."""

from __future__ import annotations

import re
from base64 import b64decode
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

import msgspec

from nirantar import limits
from nirantar.continuity import sheet_rows
from nirantar.continuity.alarm import ALARM_TYPE, Alarm, TouchedFile
from nirantar.continuity.custody import earlier_identities
from nirantar.continuity.identity import RecoveryIdentity, RehearsalIdentity
from nirantar.continuity.recovery_record import RecordedLog, RecoveryRecord
from nirantar.fold.custody import Custody, follow
from nirantar.fold.founding import FoundingDocument, slug_of
from nirantar.fold.roster import Roster, next_block
from nirantar.interactions.access_log import START_OF_CHAIN
from nirantar.interactions.numbers import is_valid, with_check_digit
from nirantar.interactions.proof_file import CHART, FOUNDING, MANIFEST, PATH, README, ROSTER, TITLE, PathToDigest
from nirantar.journal.entry import SALT_BYTES, Entry, decode, encode
from nirantar.store.digest import EMPTY_NODES, bucket_of, head_line, leaf_data
from nirantar.store.memory import MemoryView
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.compact_range import RangeProof, subtrees
from nirantar.tlog.merkle import leaf_hash, root
from nirantar.tlog.note import Signer, Verifier
from nirantar.vault.encryption import recipient_of
from nirantar.vault.keys import (
    HOSPITAL_KEY,
    LEVELS,
    AlarmKey,
    AttachmentKey,
    CustodyKey,
    PackKey,
    RecoveryKey,
    RosterKey,
    SegmentKey,
    TileKey,
    parse,
)
from nirantar.vault.manifests import Contents, LogPosition, Manifest
from nirantar.vault.segments import SegmentHeader, encode_segment, open_segment, prove_header

DOCUMENT: Final = (Path(__file__).resolve().parents[2] / "docs/format.md").read_text(encoding="utf-8")
BLOCKS: Final = dict(re.findall(r"^```\w+ ([\w-]+)\n(.*?)^```$", DOCUMENT, flags=re.MULTILINE | re.DOTALL))
ORIGIN: Final = "nirantar.city-hospital/centre"
ENTRIES: Final = tuple(BLOCKS[name].removesuffix("\n").encode() for name in ("entry-0", "entry-1"))
LEAVES: Final = tuple(leaf_hash(data) for data in ENTRIES)


def example_entry(entry_index: int) -> Entry:
    """One of the example's entries, read by the code."""
    entry = decode(ENTRIES[entry_index], ORIGIN, entry_index)
    assert entry is not None
    return entry


def told(value: object) -> bool:
    """Whether the document has this value in a table or sentence."""
    return f"`{value}`" in DOCUMENT or f" {value} " in DOCUMENT.replace("\n", " ")


def signer_of_node() -> Signer:
    """The example's node key."""
    return Signer.parse(BLOCKS["signing-key"].strip())


def authority() -> Signer:
    """The example's authority key, from the identity."""
    return RecoveryIdentity.parse(BLOCKS["identity"].encode()).authority


def test_the_entries_are_what_the_code_writes() -> None:
    """Reading and writing the example's entries gives their bytes, so fields, order and spelling are the real ones."""
    assert [encode(example_entry(index)) for index in (0, 1)] == list(ENTRIES)
    for index in (0, 1):
        entry = example_entry(index)
        (change,) = entry.changes
        assert (entry.v, entry.origin, len(b64decode(entry.salt))) == (1, ORIGIN, SALT_BYTES)
        assert change.version_id == f"centre.{index}"
        meta = msgspec.json.decode(change.resource_bytes or b"")["meta"]
        assert meta == {"versionId": change.version_id, "lastUpdated": entry.recorded_at}
    assert b'"value":72.50' in (example_entry(1).changes[0].resource_bytes or b"")


def test_every_field_of_an_entry_is_in_the_tables() -> None:
    """A field that the code writes has a row, and the rows stand in the order in which the fields are written."""
    for fields in (msgspec.json.decode(ENTRIES[0]), msgspec.json.decode(ENTRIES[1])["changes"][0]):
        assert all(f"`{name}`" in DOCUMENT for name in fields)
    rows = re.findall(r"^\| `(\w+)` \|", DOCUMENT, flags=re.MULTILINE)
    assert rows[: len(Entry.__struct_fields__)] == list(Entry.__struct_fields__)
    assert f"{limits.ENTRY_BYTES_MAX:,}" in DOCUMENT
    assert f"{limits.RESOURCE_BYTES_MAX:,}" in DOCUMENT


def test_the_idempotency_key_gives_entry_and_resource_id() -> None:
    """The key's hash and the id made of it are as the document derives them from `staff:asha` and `form-1`."""
    key = sha256(b"staff:asha\nform-1").hexdigest()
    namespace = re.search(r"`([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})`: a retry", DOCUMENT)
    assert namespace is not None
    assert example_entry(0).idempotency_key == key
    assert example_entry(0).changes[0].id == str(uuid5(UUID(namespace[1]), f"{key}/0"))


def test_hashes_and_keys() -> None:
    """Leaf hashes, root and both text forms of the node's key follow from the entries and the seed."""
    for value in (*LEAVES, root(LEAVES)):
        assert told(value.hex())
    assert signer_of_node().skey == BLOCKS["signing-key"].strip()
    assert signer_of_node().verifier.vkey == BLOCKS["verifier-key"].strip()


def test_the_checkpoint_is_signed_by_the_node() -> None:
    """Signing the example's size and root with its key gives the printed note, byte for byte."""
    note = BLOCKS["checkpoint"].encode()
    assert Checkpoint(ORIGIN, 2, root(LEAVES)).sign(signer_of_node()) == note
    assert open_checkpoint(note, signer_of_node().verifier).tree_size == 2


def test_the_segment_holds_the_entries() -> None:
    """The printed segment opens with the printed identity, and its header is the printed one in its only spelling."""
    identity = RecoveryIdentity.parse(BLOCKS["identity"].encode())
    key, segment = BLOCKS["segment-key"].strip(), b64decode(BLOCKS["segment"])
    header, entries = open_segment(segment, (identity.age_identity,), key=key)
    assert entries == list(ENTRIES)
    assert msgspec.json.encode(header).decode() == BLOCKS["segment-header"].strip()
    assert segment.startswith(BLOCKS["segment-header"].encode() + b"\n")
    assert (header.leaf_hashes, header.checkpoint) == (b"".join(LEAVES), BLOCKS["checkpoint"])
    assert prove_header(header, signer_of_node().verifier, key=key)[0].tree_size == 2
    again = encode_segment(
        ORIGIN, 0, ENTRIES, LEAVES, proof=RangeProof(), checkpoint_note=BLOCKS["checkpoint"],
        recipients=(recipient_of(identity.age_identity),),
    )
    written = msgspec.json.decode(again.partition(b"\n\n")[0], type=SegmentHeader)
    assert msgspec.structs.replace(written, ciphertext_sha256=header.ciphertext_sha256) == header


def test_the_subtrees_beside_a_segment_are_those_described() -> None:
    """The document's examples of what covers a range, and its list of the header's fields, are the code's."""
    for start, stop in ((0, 5), (1, 7)):
        covers = [f"[{index << level}, {(index + 1) << level})" for level, index in subtrees(start, stop)]
        assert f"{', '.join(covers[:-1])} and {covers[-1]}" in DOCUMENT.replace("\n", " ")
    table = DOCUMENT[DOCUMENT.index("The example's header:") :].partition("has one valid spelling")[0]
    rows = re.findall(r"^\| (`[^|]*`) \|", table, flags=re.MULTILINE)
    assert re.findall(r"`(\w+)`", "".join(rows)) == list(SegmentHeader.__struct_fields__)


def test_vault_keys_are_spelt_as_described() -> None:
    """The key table and the code agree on where each kind of object lies."""
    assert str(parse(BLOCKS["segment-key"].strip())) == str(SegmentKey("centre", "live", 0, 2)) == BLOCKS["segment-key"].strip()
    assert str(TileKey("centre", 0, 1234067)) == "centre/tile/0/x001/x234/067"
    assert str(RosterKey(1)) == "roster/00000001.note"
    assert str(AttachmentKey("centre", "0" * 64)) == "centre/attachment/" + "0" * 64
    for text in (HOSPITAL_KEY, "roster/00000001.note", "x001/x234/067"):
        assert told(text)
    for bound in (
        limits.SEGMENT_ENTRIES_MAX, limits.SEGMENT_PLAIN_BYTES_MAX, limits.SEGMENT_ZSTD_WINDOW_BYTES_MAX,
        limits.SEGMENT_MERGED_ENTRIES_MAX, limits.SEGMENT_MERGED_PLAIN_BYTES_MAX,
    ):
        assert f"{bound:,}" in DOCUMENT


def test_the_manifest_of_a_snapshot() -> None:
    """It is signed by the example's node, opens with the example's identity, is of the example's view, and the table
    has a row for each field in its order."""
    manifest = Manifest.open(
        BLOCKS["manifest"].encode(), Verifier.parse(BLOCKS["verifier-key"].strip()), slug="city-hospital",
        node="centre", serial=1,
    )
    identity = RecoveryIdentity.parse(BLOCKS["identity"].encode())
    contents = manifest.contents
    assert manifest.sign(signer_of_node()).decode() == BLOCKS["manifest"]
    assert [len(key) for key in manifest.data_keys([identity.age_identity]).values()] == [32]
    assert contents.positions == {ORIGIN: LogPosition(2, LEAVES[1].hex())}
    assert told(contents.view_digest)
    named = re.findall(r"`(\w+)`", DOCUMENT.partition("### Manifest")[2].partition("A full snapshot")[0])
    fields = Contents.__struct_fields__
    assert [name for name in dict.fromkeys(named) if name in fields] == [
        *(name for name in ("positions",) if name in fields), *(name for name in fields if name != "positions")
    ]
    for bound in (
        limits.SNAPSHOT_CHUNK_PAGES, limits.SNAPSHOT_PACK_BYTES_MAX, limits.SNAPSHOT_MAP_BYTES_MAX,
        limits.SNAPSHOT_PACKS_MAX,
    ):
        assert f"{bound:,}" in DOCUMENT
    assert f"half of {limits.SNAPSHOT_RETENTION_DAYS} days" in DOCUMENT
    for key in (str(parse(manifest.key)), str(PackKey("centre", contents.packs[0].name))):
        assert key.partition("/")[2].partition("/")[0] in ("snapshot", "pack")
        assert parse(key) is not None


def test_the_levels_are_merged_and_expire_as_described() -> None:
    """The table of the levels is the limits that the code holds."""
    day = 86_400
    for level, into in pairwise(LEVELS):
        age, expires = limits.LEVEL_AGE_SECONDS_MAX[level] // day, limits.LEVEL_EXPIRES_SECONDS[level] // day
        row = (
            f"| `{level}` | `{into}` | {limits.LEVEL_SEGMENTS_MAX[level]} | {age} day{'s' if age > 1 else ''} | "
            f"{expires} days |"
        )
        assert row in DOCUMENT
    assert f"| `{LEVELS[-1]}` | — | | | never |" in DOCUMENT
    fewer = " + ".join(str(number - 1) for number in limits.LEVEL_SEGMENTS_MAX.values())
    assert f"at most {fewer} segments" in DOCUMENT


def test_founding_document_roster_and_identity() -> None:
    """The three papers are what the code writes, fit each other, and the roster is signed by the identity's key."""
    document = FoundingDocument.parse(BLOCKS["founding-document"].encode())
    identity = RecoveryIdentity.parse(BLOCKS["identity"].encode())
    assert document.encode().decode() == BLOCKS["founding-document"]
    assert identity.encode(document.name).decode() == BLOCKS["identity"]
    assert document.slug == slug_of(document.name)
    assert document.origin("centre") == ORIGIN
    assert document.recipients == (recipient_of(identity.age_identity),)
    assert document.authority == identity.authority.verifier.vkey
    roster = Roster.open(BLOCKS["roster"].encode(), Verifier.parse(document.authority))
    assert roster.sign(authority()).decode() == BLOCKS["roster"]
    (grant,) = roster.grants
    assert (grant.origin, grant.vkey) == (ORIGIN, BLOCKS["verifier-key"].strip())
    assert grant.numbers == (next_block((), "uhid"),)


def test_the_custody_note_signs_for_the_founding_document() -> None:
    """The printed note is signed by the identity's key, names its recipient and the printed document, and holds no earlier
    identity; both ways of following lead to it."""
    document = FoundingDocument.parse(BLOCKS["founding-document"].encode())
    identity = RecoveryIdentity.parse(BLOCKS["identity"].encode())
    note = BLOCKS["custody-note"].encode()
    custody = follow([note], Verifier.parse(document.authority), document.slug)
    assert custody is not None
    assert custody == Custody.reopen(note)
    assert Custody.sign(custody.slug, custody.serial, custody.terms, authority()).note == note
    assert custody.is_of(document)
    assert (custody.recipients, custody.authority.vkey) == (document.recipients, document.authority)
    assert earlier_identities(custody, identity) == ()
    assert told(str(CustodyKey(custody.serial)))
    assert all(f"| `{name}` |" in DOCUMENT for name in custody.terms.__struct_fields__)


def test_the_sheets_rows_and_the_rehearsal_identity() -> None:
    """The rows are the printed identity, and the rehearsal identity's lines are as the code writes them."""
    identity = RecoveryIdentity.parse(BLOCKS["identity"].encode())
    assert RecoveryIdentity.parse(BLOCKS["sheet-rows"].encode()).encode("City Hospital").decode() == BLOCKS["identity"]
    rows = sheet_rows.write(sheet_rows.Rows("city-hospital", identity.age_identity, identity.authority.seed))
    assert "".join(f"{row.text}\n" for row in rows) == BLOCKS["sheet-rows"]
    written = RehearsalIdentity(identity.age_identity, identity.verifier).encode("City Hospital").decode()
    assert written.splitlines()[:-1] == BLOCKS["rehearsal-identity"].splitlines()[:-1]
    assert identity.sheet_text("City Hospital").splitlines()[0] == b"# Nirantar recovery sheet of City Hospital"


def test_the_patient_number_is_the_first_of_the_block() -> None:
    """Serial and check digit give the number that entry 0 carries."""
    number = with_check_digit(10000001)
    assert told(number)
    assert is_valid(number)
    assert f'"value":"{number}"'.encode() in ENTRIES[0]


def test_the_view_digest() -> None:
    """Folding the entries gives the printed digest, and the printed leaf data are what leads to it."""
    roster = Roster.open(BLOCKS["roster"].encode(), authority().verifier)
    view = MemoryView(number_series={})
    view.use_grants(roster.by_origin())
    view.begin()
    for index, leaf in enumerate(LEAVES):
        view.project(index, leaf, example_entry(index))
    view.commit()
    with view.reader() as state:
        assert told(state.view_digest().hex())
        assert not list(state.unfolded())
    subject = f"Patient/{example_entry(0).changes[0].id}"
    changes = [change for index in (0, 1) for change in example_entry(index).changes]
    lines = [head_line(each.type, each.id, each.version_id, each.resource_bytes) for each in changes]
    assert leaf_data(subject, lines).decode() == BLOCKS["view-leaf"]
    assert told(leaf_hash(leaf_data(subject, lines)).hex())
    assert told(EMPTY_NODES[0].hex())
    assert f"bucket {bucket_of(subject):,}:" in DOCUMENT


def test_the_access_log_is_chained_as_described() -> None:
    """Each printed line's chain value follows from the line before it by the rule in the document."""
    chain = START_OF_CHAIN
    lines = BLOCKS["access-log"].splitlines()
    for number, text in enumerate(lines, 1):
        line = msgspec.json.decode(text)
        named = line.pop("chain")
        chain = sha256(chain + msgspec.json.encode(line)).digest()
        assert (line["n"], named) == (number, chain.hex())
    assert len(lines) == 2


def test_every_field_of_a_recovery_report_and_of_a_charts_path_is_told() -> None:
    """The document names the fields that are written, and the members of the archive."""
    written = [*RecoveryRecord.__struct_fields__, *RecordedLog.__struct_fields__, *PathToDigest.__struct_fields__]
    assert [name for name in written if f"`{name}`" not in DOCUMENT] == []
    for member in (README, FOUNDING, ROSTER, CHART, PATH, MANIFEST, TITLE):
        assert f"`{member}`" in DOCUMENT
    assert parse("centre-r1/recovery.note") == RecoveryKey("centre-r1")


def test_an_alarm_is_told_as_it_is_written() -> None:
    """Every field, the key's form, and the bounds that the text quotes."""
    for name in (*Alarm.__struct_fields__, *TouchedFile.__struct_fields__, ALARM_TYPE):
        assert f"`{name}`" in DOCUMENT
    assert parse("centre/alarm/1764489601750875-0.json") == AlarmKey("centre", 1_764_489_601_750_875, 0)
    assert f"at most {limits.ALARM_FILES_MAX} are named" in DOCUMENT
    assert f"within {limits.ALARM_GATHER_SECONDS:.0f} s is gathered" in DOCUMENT
    assert f"at most {limits.ALARMS_MAX} in a node's life" in DOCUMENT
