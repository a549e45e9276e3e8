"""Signed notes and keys against golang.org/x/mod's and C2SP's examples, and all that must be refused."""

from __future__ import annotations

import pytest

from nirantar.errors import InvalidInput, LimitExceeded, ProofInvalid
from nirantar.limits import NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX
from nirantar.tlog.note import Note, NoteSignature, Signer, Verifier, add_signatures, open_note, sign_note
from nirantar.tlog.note_keys import VerifierKey
from nirantar.tlog.strict_base64 import decode_base64, encode_base64

PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6Ryy"
    "BwJnAM="
)
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ="
)
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)  # fmt: skip
BOTH = f"{TEXT}\n{PETER_LINE}\n{ENOCH_LINE}\n".encode()
C2SP_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONn"
    "cAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()


def test_published_signatures() -> None:
    """Published notes verify by each of their keys, and signing gives the same bytes."""
    peter, enoch = Verifier.parse(PETER), Verifier.parse(ENOCH)
    for verifiers in ((peter,), (enoch,), (peter, enoch)):
        assert open_note(BOTH, verifiers) == TEXT
    assert sign_note(TEXT, Signer.parse(PETER_PRIVATE)) == f"{TEXT}\n{PETER_LINE}\n".encode()
    assert open_note(C2SP_NOTE, [Verifier.parse(C2SP_KEY)]) == "This is an example message.\n"


def test_keys_read_back() -> None:
    """Both text forms of a key are written as they were read, and a seed gives its published public key."""
    signer = Signer.parse(PETER_PRIVATE)
    assert (signer.vkey, signer.skey) == (PETER, PETER_PRIVATE)
    for vkey in (PETER, ENOCH, C2SP_KEY):
        assert VerifierKey.parse(vkey).vkey == Verifier.parse(vkey).vkey == vkey
    assert signer.key_id.hex() == "c74f20a3"


@pytest.mark.parametrize(
    "vkey",
    [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        PETER.replace("c74f20a3", "C74F20A3"),
        PETER.replace("c74f20a3", "c74f20a3 "),
        PETER + "\n",
        PETER + "=",
        " " + PETER,
        PETER.replace("Peter", "Peter "),
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        PETER_PRIVATE,
    ],
)
def test_bad_verifier_keys(vkey: str) -> None:
    """Published bad keys and misspelt ones are refused."""
    with pytest.raises(InvalidInput):
        Verifier.parse(vkey)


@pytest.mark.parametrize("good", [PETER, ENOCH])
def test_every_mangled_verifier_key(good: str) -> None:
    """No truncation of a key, and no key with one character raised by one, is taken."""
    for at in range(len(good)):
        for bad in (good[:at], good[:at] + chr(ord(good[at]) + 1) + good[at + 1 :]):
            with pytest.raises(InvalidInput):
                Verifier.parse(bad)


def test_every_mangled_private_key() -> None:
    """The same for private keys; and the error quotes nothing of the key."""
    for at in range(len(PETER_PRIVATE)):
        raised = chr(ord(PETER_PRIVATE[at]) + 1)
        for bad in (PETER_PRIVATE[:at], PETER_PRIVATE[:at] + raised + PETER_PRIVATE[at + 1 :]):
            with pytest.raises(InvalidInput) as caught:
                Signer.parse(bad)
            assert "AYEK" not in str(caught.value)


def test_keys_of_another_kind() -> None:
    """A cosigner's key does not verify or sign plain notes, and a seed has its length."""
    with pytest.raises(InvalidInput):
        Verifier(VerifierKey("cosigner.example", 0x04, bytes(32)))
    with pytest.raises(InvalidInput):
        VerifierKey("log.example", 0x01, bytes(31))
    with pytest.raises(InvalidInput):
        Signer("log.example", bytes(31))
    for name in ("", "a b", "a+b", "a\u00a0b", "a\tb", "a\ud800", "n" * 256):
        with pytest.raises(InvalidInput):
            Signer(name, bytes(32))


def test_unknown_signatures_are_ignored() -> None:
    """Other keys' lines neither help nor harm, even when they are nonsense; alone they are not enough."""
    stranger = NoteSignature("PeterNeumann", b"none", b"nonsense").line
    note = f"{TEXT}\n{stranger}\n{PETER_LINE}\n".encode()
    assert open_note(note, [Verifier.parse(PETER)]) == TEXT
    with pytest.raises(ProofInvalid, match="no signature of a key"):
        open_note(note, [Verifier.parse(ENOCH)])
    with pytest.raises(ProofInvalid, match="no signature of a key"):
        open_note(note, [])


def test_one_bad_signature_of_a_known_key_rejects_the_note() -> None:
    """A good signature does not make up for a bad one, of another known key or its own."""
    peter, enoch = Verifier.parse(PETER), Verifier.parse(ENOCH)
    bad = NoteSignature("EnochRoot", enoch.key_id, bytes(64)).line
    short = NoteSignature("EnochRoot", enoch.key_id, b"x").line
    own = NoteSignature("PeterNeumann", peter.key_id, bytes(64)).line
    for line, verifiers in ((bad, [peter, enoch]), (short, [peter, enoch]), (own, [peter])):
        with pytest.raises(ProofInvalid, match="does not verify"):
            open_note(f"{TEXT}\n{PETER_LINE}\n{line}\n".encode(), verifiers)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        TEXT.encode(),
        f"{TEXT}\n".encode(),
        f"{TEXT}{PETER_LINE}\n".encode(),
        f"{TEXT}\n{PETER_LINE}".encode(),
        f"{TEXT}\n{PETER_LINE}\n\n".encode(),
        f"{TEXT}\n {PETER_LINE}\n".encode(),
        f"{TEXT}\n{PETER_LINE} \n".encode(),
        f"{TEXT}\n{PETER_LINE}\nmore\n".encode(),
        f"{TEXT}\n{PETER_LINE.replace('—', '-')}\n".encode(),
        f"{TEXT}\n{PETER_LINE.replace('PeterNeumann ', 'PeterNeumann  ')}\n".encode(),
        f"{TEXT}\n{PETER_LINE}\n— PeterNeumann AAAA\n".encode(),
        f"{TEXT}\n{PETER_LINE}\n— PeterNeumann xyz\n".encode(),
        f"{TEXT}\n{PETER_LINE}\n— a+b AAAAAAAA\n".encode(),
        f"{TEXT}\n{PETER_LINE}\n".encode().replace(b"\n", b"\r\n"),
        b"\xff" + BOTH,
        BOTH.replace(b"think", b"th\x00nk"),
        BOTH.replace(b"think", b"th\tnk"),
    ],
)
def test_malformed_notes(note: bytes) -> None:
    """Anything but text, blank line and signature lines is refused, whatever its signatures say."""
    with pytest.raises(ProofInvalid):
        open_note(note, [Verifier.parse(PETER)])


def test_texts_that_cannot_be_signed() -> None:
    """What a reader would refuse, the writer refuses first."""
    signer = Signer("log.example", bytes(32))
    for text in ("", "no newline", "tab\t\n", "return\r\n", "lone \ud800\n"):
        with pytest.raises(InvalidInput):
            sign_note(text, signer)
    with pytest.raises(InvalidInput):
        sign_note("unsigned\n")


@pytest.mark.parametrize("text", ["\n", "a\n\nb\n", "a\n\n", "\n\n", "— line that looks like a signature\n"])
def test_texts_with_blank_lines(text: str) -> None:
    """The last blank line splits text from signatures, so texts may hold others."""
    signer = Signer("log.example", bytes(32))
    note = sign_note(text, signer)
    assert open_note(note, [signer.verifier]) == text
    assert Note.parse(note).signatures == (signer.sign(text.encode()),)


def test_note_bounds() -> None:
    """Sixteen ML-DSA sized signatures fit; one more than the bound, or too many bytes, do not."""
    signer = Signer("log.example", bytes(32))
    note = sign_note(TEXT, signer)
    sixteen = [NoteSignature(f"w{number}.example", bytes(4), bytes(2428)) for number in range(16)]
    assert open_note(add_signatures(note, sixteen), [signer.verifier]) == TEXT
    small = NoteSignature("w.example", bytes(4), b"x")
    full = add_signatures(note, [small] * (NOTE_SIGNATURES_MAX - 1))
    assert open_note(full, [signer.verifier]) == TEXT
    with pytest.raises(LimitExceeded):
        add_signatures(full, [small])
    with pytest.raises(ProofInvalid, match="NOTE_SIGNATURES_MAX"):
        open_note(full + f"{small.line}\n".encode(), [signer.verifier])
    with pytest.raises(LimitExceeded):
        sign_note("x" * NOTE_BYTES_MAX + "\n", signer)
    with pytest.raises(ProofInvalid, match="NOTE_BYTES_MAX"):
        open_note(b"x" * NOTE_BYTES_MAX + note, [signer.verifier])


def test_base64_has_one_spelling() -> None:
    """Only the canonical spelling is read: no unused bits, line breaks or other alphabet."""
    assert decode_base64(encode_base64(b"\xfb\xff\x00")) == b"\xfb\xff\x00"
    assert decode_base64("AA==") == b"\x00"
    for text in ("AB==", "AA=", "AA", "AA==\n", "A A==", "-_8A", "AA===", "AAA=AAAA", "ÄÄ=="):
        assert decode_base64(text) is None
