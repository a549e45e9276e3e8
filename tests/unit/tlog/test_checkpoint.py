"""Checkpoints against tessera's public test log, and every text that is not one."""

from __future__ import annotations

import pytest

from nirantar.errors import InvalidInput, ProofInvalid
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.entry_bundle import write_entry_bundle
from nirantar.tlog.merkle import EMPTY_ROOT, leaf_hash, root
from nirantar.tlog.note import Signer, Verifier, sign_note
from nirantar.tlog.strict_base64 import encode_base64

ORIGIN = "example.com/log/testdata"
PRIVATE = f"PRIVATE+KEY+{ORIGIN}+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg"
PUBLIC = f"{ORIGIN}+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
ENTRIES = (
    b"one", b"two", b"three", b"four", b"five", b"six", b"seven", b"eit", b"nain", b"ten", b"ileven",
    b"twelf",
    b"threeten", b"fourten", b"fivten",
)  # fmt: skip
ROOTS = {
    0: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    1: "0Nc2CrefWKseHj/mStd+LqC8B+NrX0btIiPt2SmN+ek=",
    2: "T1X2GdkhUjV3iyufF9b0kVsWFxIU0VI4EpNml2Teci4=",
    15: "rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=",
}
SIGNED = (
    f"{ORIGIN}\n15\n{ROOTS[15]}\n\n"
    f"— {ORIGIN} M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcB"
    "Ohg+CKubMt53MvIt/uEWP6zdkdIQzd/fmwlM/dlPWF74ewI=\n"
).encode()


@pytest.mark.parametrize("size", ROOTS)
def test_public_log_roots(size: int) -> None:
    """The public test log's entries hash to its published roots, and its files have their known lengths."""
    leaves = [leaf_hash(entry) for entry in ENTRIES[:size]]
    assert encode_base64(root(leaves)) == ROOTS[size]
    assert len(b"".join(leaves)) == 32 * size
    assert len(write_entry_bundle(ENTRIES)) == 99


def test_public_log_signature() -> None:
    """Its signed checkpoint opens, and signing the same head gives the same bytes."""
    checkpoint = Checkpoint(ORIGIN, 15, root(leaf_hash(entry) for entry in ENTRIES))
    assert open_checkpoint(SIGNED, Verifier.parse(PUBLIC)) == checkpoint
    assert checkpoint.sign(Signer.parse(PRIVATE)) == SIGNED
    assert Signer.parse(PRIVATE).vkey == PUBLIC


def test_empty_log() -> None:
    """Size 0 is a size like others."""
    text = f"{ORIGIN}\n0\n{ROOTS[0]}\n"
    assert Checkpoint.parse(text) == Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert Checkpoint.parse(text).text == text


def test_extension_lines_are_kept() -> None:
    """Lines after the root are signed and given back as they are."""
    signer = Signer("log.example", bytes(32))
    checkpoint = Checkpoint("log.example", 1, bytes(32), ("one more", "— and more"))
    assert open_checkpoint(checkpoint.sign(signer), signer.verifier) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"{ORIGIN}\n15\n",
        f"{ORIGIN}\n15\n{ROOTS[15]}",
        f"\n15\n{ROOTS[15]}\n",
        f"{ORIGIN}\n015\n{ROOTS[15]}\n",
        f"{ORIGIN}\n+15\n{ROOTS[15]}\n",
        f"{ORIGIN}\n-15\n{ROOTS[15]}\n",
        f"{ORIGIN}\n15 \n{ROOTS[15]}\n",
        f"{ORIGIN}\n\u0661\u0665\n{ROOTS[15]}\n",
        f"{ORIGIN}\n\n{ROOTS[15]}\n",
        f"{ORIGIN}\n{2**63}\n{ROOTS[15]}\n",
        f"{ORIGIN}\n{10**19}\n{ROOTS[15]}\n",
        f"{ORIGIN}\n15\n{ROOTS[15][:-1]}\n",
        f"{ORIGIN}\n15\n{ROOTS[15].replace('s=', 't=')}\n",
        f"{ORIGIN}\n15\n{encode_base64(bytes(31))}\n",
        f"{ORIGIN}\n15\n{encode_base64(bytes(33))}\n",
        f"{ORIGIN}\n15\n\n",
        f"{ORIGIN}\n15\n{ROOTS[15]}\n\n",
        f"{ORIGIN}\n15\n{ROOTS[15]}\n\nmore\n",
        f"{ORIGIN}\n15\n{ROOTS[15]}\nmore",
    ],
)
def test_texts_that_are_no_checkpoint(text: str) -> None:
    """Every deviation from the three lines is refused."""
    with pytest.raises(ProofInvalid):
        Checkpoint.parse(text)


def test_values_that_no_checkpoint_can_say() -> None:
    """A value that would write another text than it means cannot be made."""
    bad: tuple[tuple[str, int, bytes, tuple[str, ...]], ...] = (
        ("", 0, EMPTY_ROOT, ()), ("a\nb", 0, EMPTY_ROOT, ()), ("a", -1, EMPTY_ROOT, ()),
        ("a", 2**63, EMPTY_ROOT, ()),
        ("a", 0, b"", ()), ("a", 0, EMPTY_ROOT, ("",)), ("a", 0, EMPTY_ROOT, ("b\n\nc",)),
    )  # fmt: skip
    for values in bad:
        with pytest.raises(InvalidInput):
            Checkpoint(*values)


def test_a_key_speaks_only_for_its_own_log() -> None:
    """A node's key neither signs another log's checkpoint nor opens one, however good the signature."""
    signer = Signer("log.example/one", bytes(32))
    other = Checkpoint("log.example/two", 0, EMPTY_ROOT)
    with pytest.raises(InvalidInput):
        other.sign(signer)
    with pytest.raises(ProofInvalid, match="another log"):
        open_checkpoint(sign_note(other.text, signer), signer.verifier)
