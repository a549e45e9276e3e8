"""Vault URIs, the credentials file, and what opening a vault costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nirantar.app.vaults import credentials_note, open_vault, require_apart, s3_credentials
from nirantar.errors import ConfigInvalid
from nirantar.host.real import RealHost


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a credentials file would be."""
    return tmp_path / "s3-credentials"


def write(file: Path, text: str, mode: int = 0o600) -> None:
    """Make the credentials file."""
    file.write_text(text)
    file.chmod(mode)


@pytest.mark.parametrize("uri", ["", "ftp://x/y", "topsecret", "keeper://x", "s3:/bucket", "file:relative", "http://[x"])
def test_what_is_no_vault_is_refused(uri: str) -> None:
    """The sentence says what to write; a scheme that is none is not repeated as a whole."""
    with pytest.raises(ConfigInvalid, match=r"Write (file:///absolute/path, )?s3://"):
        open_vault(RealHost(), uri)


def test_a_vault_is_apart_from_its_node() -> None:
    """A directory vault within the node is refused; a bucket is never within it."""
    with pytest.raises(ConfigInvalid, match="within each other"):
        require_apart(Path("/srv/node"), "file:///srv/node/vault")
    require_apart(Path("/srv/node"), "file:///srv/vault")
    require_apart(Path("/srv/node"), "s3://records/srv/node")


def test_a_buckets_own_section_stands_before_the_default(file: Path) -> None:
    """Two vaults may have two logins."""
    host = RealHost()
    write(file, (
        "[default]\naws_access_key_id = one\naws_secret_access_key = a%b\n"
        "[other]\naws_access_key_id=two\naws_secret_access_key=b\naws_session_token=c\n"
    ))
    common, own = s3_credentials(host, file, "records"), s3_credentials(host, file, "other")
    assert common is not None
    assert own is not None
    assert (common.access_key_id, common.secret_access_key, common.session_token) == ("one", "a%b", None)
    assert (own.access_key_id, own.secret_access_key, own.session_token) == ("two", "b", "c")


def test_without_a_file_or_section_the_environment_decides(file: Path) -> None:
    """No file is no error, nor is one for other buckets."""
    assert s3_credentials(RealHost(), file, "records") is None
    write(file, "[other]\naws_access_key_id=topsecret\naws_secret_access_key=topsecret\n")
    assert s3_credentials(RealHost(), file, "records") is None


@pytest.mark.parametrize(
    ("text", "mode", "named"),
    [
        ("[default]\naws_access_key_id=topsecret\naws_secret_access_key=topsecret\n", 0o640, "chmod 600"),
        ("[default]\naws_access_key_id=topsecret\n", 0o600, "lacks"),
        ("[default]\naws_access_key_id=\naws_secret_access_key=topsecret\n", 0o600, "lacks"),
        ("topsecret\n", 0o600, "credentials files"),
        ("[default]\ntopsecret\n", 0o600, "credentials files"),
    ],
)
def test_a_file_that_cannot_serve_is_named_and_not_repeated(file: Path, text: str, mode: int, named: str) -> None:
    """One that others can read is refused; no sentence shows what stands in it."""
    write(file, text, mode)
    with pytest.raises(ConfigInvalid, match=named) as refusal:
        s3_credentials(RealHost(), file, "records")
    assert "topsecret" not in str(refusal.value)


def test_who_made_a_node_with_a_bucket_is_told_where_its_credentials_go() -> None:
    """They were the environment's, which the service does not share; a directory needs none."""
    note = credentials_note(Path("/srv/node"), ["file:///vault", "s3://records"])
    assert note is not None
    assert "/srv/node/keys/s3-credentials" in note
    assert credentials_note(Path("/srv/node"), ["file:///vault"]) is None


@pytest.mark.parametrize(("uri", "loaded"), [("file:///vault", "False"), ("s3://records", "True")])
def test_what_speaks_to_s3_is_loaded_only_for_it(uri: str, loaded: str) -> None:
    """A node without a bucket does not wait for the import."""
    program = (
        "import sys; from nirantar.app.vaults import open_vault; from nirantar.host.real import RealHost; "
        f"open_vault(RealHost(), {uri!r}); print('boto3' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == loaded
