"""The identities' files: read whole or refused with what is wrong, never quoted."""

from __future__ import annotations

import pytest

from nirantar.continuity.identity import RecoveryIdentity, RehearsalIdentity, hospital_in, parse_identity
from nirantar.errors import IdentityWrong
from nirantar.tlog.note import Signer
from nirantar.vault.encryption import new_identity

AGE, _ = new_identity()
OTHER, _ = new_identity()
IDENTITY = RecoveryIdentity(AGE, Signer("nirantar.test/authority", b"a" * 32))
FILE = IDENTITY.encode("City Hospital")
LINES = FILE.decode().splitlines()


def same(read: RecoveryIdentity) -> bool:
    """Whether both secrets are there."""
    return (read.age_identity, read.authority.skey) == (AGE, IDENTITY.authority.skey)


@pytest.mark.parametrize("ends", ["\n", "\r\n", "  \n"])
def test_it_comes_back_however_it_was_copied(ends: str) -> None:
    """Line ends of another system and blanks at the ends do no harm."""
    assert same(RecoveryIdentity.parse(ends.join(LINES).encode()))
    assert same(RecoveryIdentity.parse(b"\xef\xbb\xbf" + FILE))


def test_age_reads_the_same_file() -> None:
    """Every line that is not the age identity is a comment to age."""
    assert [line for line in LINES if not line.startswith("#")] == [AGE]
    assert "City Hospital" in LINES[0]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff\xfe\x00", FILE.replace(b"# authority", b"# author"), "\n".join(LINES[:-1]).encode(),
        FILE + f"{OTHER}\n".encode(), FILE + f"{LINES[-2]}\n".encode(),
        FILE.replace(AGE.encode(), AGE[:-3].encode()), FILE.replace(AGE.encode(), AGE[:-1].encode() + b"!"),
        FILE.replace(LINES[-2][-8:].encode(), b"AAAAAAA="), FILE.replace(b"PRIVATE+KEY+", b"PUBLIC+KEY+"),
    ],
)
def test_anything_else_is_refused_and_no_secret_is_quoted(data: bytes) -> None:
    """Empty, cut, doubled or mistyped: IdentityWrong, and its sentence shows nothing of either key."""
    with pytest.raises(IdentityWrong) as refused:
        RecoveryIdentity.parse(data)
    assert AGE[20:40] not in str(refused.value)
    assert LINES[-2][-20:-8] not in str(refused.value)


def test_it_does_not_show_itself() -> None:
    """A traceback or a debugger prints no secret."""
    assert repr(IDENTITY) == "RecoveryIdentity(...)"
    assert LINES[-2][-20:] not in repr(IDENTITY.authority)


REHEARSAL = RehearsalIdentity(OTHER, IDENTITY.verifier)


def test_the_sheets_text_is_a_file_of_the_same_kind() -> None:
    """What the QR code holds reads as the file does, and names the hospital."""
    text = IDENTITY.sheet_text("City Hospital")
    assert same(RecoveryIdentity.parse(text))
    assert (hospital_in(text), hospital_in(FILE), hospital_in(b"x")) == ("City Hospital", "City Hospital", "")


def test_the_rehearsal_identity_opens_and_names_nobody() -> None:
    """It comes back with the public key only, and is refused where nodes are named."""
    data = REHEARSAL.encode("City Hospital")
    read = parse_identity(data)
    assert isinstance(read, RehearsalIdentity)
    assert (read.age_identity, read.verifier.vkey, read.recipient) == (OTHER, IDENTITY.authority.vkey, REHEARSAL.recipient)
    assert b"PRIVATE" not in data
    assert [line for line in data.decode().splitlines() if not line.startswith("#")] == [OTHER]
    with pytest.raises(IdentityWrong, match="only the recovery identity can name a node"):
        RecoveryIdentity.parse(data)
    assert isinstance(parse_identity(FILE), RecoveryIdentity)
    assert repr(read) == "RehearsalIdentity(...)"


@pytest.mark.parametrize("change", [(b"# authority key: nirantar", b"# authority key: x"), (b"AGE-SECRET", b"# AGE-SECRET")])
def test_a_spoilt_rehearsal_identity_is_refused(change: tuple[bytes, bytes]) -> None:
    """A mangled key line, a missing secret; nothing is quoted."""
    with pytest.raises(IdentityWrong) as refused:
        parse_identity(REHEARSAL.encode("H").replace(*change))
    assert OTHER[20:40] not in str(refused.value)
