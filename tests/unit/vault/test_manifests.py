"""Manifests: one valid spelling, bounds that a reader relies on, and data keys that open with the identity alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from nirantar.errors import IdentityWrong, SnapshotDamaged
from nirantar.tlog.note import sign_note
from nirantar.vault.encryption import new_identity
from nirantar.vault.manifests import Contents, DataKey, LogPosition, Manifest, Pack, note_sha256, wrap_data_key
from snapshots_at_hand import IDENTITY, NODE, ORIGIN, RECIPIENT, SIGNER, SLUG

CONTENTS = Contents(
    created="2025-11-30T08:00:00.000Z", layout=1, page_bytes=4096, page_count=3, chunk_pages=16_384,
    view_digest="00" * 32, positions={ORIGIN: LogPosition(2, "11" * 32), "a.b/c": LogPosition(1, "22" * 32)}, epoch=1,
    epoch_began="2025-11-30T08:00:00.000Z", keys=[wrap_data_key(1, b"k" * 32, [RECIPIENT])],
    packs=[Pack(1, "00000001-" + "0" * 32, 1, 9, "33" * 32)], map=["44" * 32], new_bytes=9,
)


def opened(note: bytes) -> Manifest:
    """Read a note as snapshot 7's manifest."""
    return Manifest.open(note, SIGNER.verifier, slug=SLUG, node=NODE, serial=7)


def test_a_manifest_comes_back_as_it_was() -> None:
    """Signed and read again, it is the same; its place follows from node and serial."""
    manifest = Manifest(SLUG, NODE, 7, CONTENTS)
    note = manifest.sign(SIGNER)
    assert opened(note) == manifest
    assert manifest.key == "centre/snapshot/00000007.manifest"
    assert manifest.data_keys([IDENTITY]) == {1: b"k" * 32}
    assert note_sha256(note) != note_sha256(note + b"\n")


@dataclass(frozen=True)
class Wrong:
    """A change of the contents and what is said of it."""

    change: dict[str, Any]
    said: str


@pytest.mark.parametrize(
    "wrong",
    [
        Wrong({"page_bytes": 512}, "sizes that this program does not read"),
        Wrong({"chunk_pages": 1}, "sizes that this program does not read"),
        Wrong({"page_count": 0, "map": []}, "does not cover"),
        Wrong({"map": []}, "does not cover"),
        Wrong({"page_count": 20_000}, "does not cover"),
        Wrong({"keys": []}, "lacks the data key"),
        Wrong({"packs": [Pack(number, "x", 1, 1, "") for number in range(4_097)]}, "SNAPSHOT_PACKS_MAX"),
    ],
    ids=lambda wrong: wrong.said + str(sorted(wrong.change)),
)
def test_what_a_reader_relies_on_is_checked(wrong: Wrong) -> None:
    """Also of a manifest that its node signed: its key may be a thief's."""
    contents = msgspec.structs.replace(CONTENTS, **wrong.change)
    with pytest.raises(SnapshotDamaged, match=wrong.said):
        opened(Manifest(SLUG, NODE, 7, contents).sign(SIGNER))


@pytest.mark.parametrize(
    "text",
    [
        "nirantar-roster/v1\ncity-hospital\ncentre\n7\n{}\n",
        "nirantar-snapshot/v1\ncity-hospital\ncentre\n07\n{}\n",
        "nirantar-snapshot/v1\ncity-hospital\ncentre\n7\n{}\n",
        "nirantar-snapshot/v1\ncity-hospital\ncentre\n7\n",
        "nirantar-snapshot/v1\ncity-hospital\ncentre\n7\n[" + "[" * 5_000 + "\n",
    ],
)
def test_a_signed_note_that_is_no_manifest_is_refused(text: str) -> None:
    """Another title, another spelling of the serial, or contents that are none."""
    with pytest.raises(SnapshotDamaged):
        opened(sign_note(text, SIGNER))


def test_there_is_one_spelling() -> None:
    """The same contents with a blank or in another order are not what the node writes."""
    json = msgspec.json.encode(CONTENTS).decode()
    for other in (json.replace(":", ": ", 1), json.replace(f'"{ORIGIN}":', '"z":').replace('"a.b/c":', '"zz":') + " "):
        note = sign_note(f"nirantar-snapshot/v1\n{SLUG}\n{NODE}\n7\n{other}\n", SIGNER)
        with pytest.raises(SnapshotDamaged):
            opened(note)


def test_data_keys_open_with_the_identity_alone() -> None:
    """Another identity is refused as such; a key that is no age file, or of another length, is damage."""
    manifest = Manifest(SLUG, NODE, 7, CONTENTS)
    with pytest.raises(IdentityWrong):
        manifest.data_keys([new_identity()[0]])
    for wrapped in (DataKey(1, "no base64"), DataKey(1, "aGVsbG8="), wrap_data_key(1, b"short", [RECIPIENT])):
        broken = Manifest(SLUG, NODE, 7, msgspec.structs.replace(CONTENTS, keys=[wrapped]))
        with pytest.raises(SnapshotDamaged, match="data key of epoch 1"):
            broken.data_keys([IDENTITY])
