"""S3 URIs: what they may say, that they come back as they were, and that an error never repeats one."""

from __future__ import annotations

import pytest

from nirantar.errors import ConfigInvalid
from nirantar.vault.s3_address import S3Address, S3Credentials


@pytest.mark.parametrize(
    ("uri", "bucket", "prefix", "endpoint", "region"),
    [
        ("s3://records", "records", "", None, None),
        ("s3://records/city/north", "records", "city/north", None, None),
        ("s3://records?region=ap-south-1", "records", "", None, "ap-south-1"),
        ("s3://records/city?endpoint=https://s3.example:9000&region=x", "records", "city", "https://s3.example:9000", "x"),
        ("s3://records?endpoint=http://127.0.0.1:8333", "records", "", "http://127.0.0.1:8333", None),
        ("s3://records?endpoint=http://[::1]:8333", "records", "", "http://[::1]:8333", None),
    ],
)
def test_a_uri_is_read_and_written_again(
    uri: str, bucket: str, prefix: str, endpoint: str | None, region: str | None
) -> None:
    """Each part has its place, and what is shown can be given again."""
    address = S3Address.parse(uri)
    assert address == S3Address(bucket, prefix, endpoint, region)
    assert S3Address.parse(str(address)) == address
    assert address.object_name("roster/1") == (f"{prefix}/roster/1" if prefix else "roster/1")
    assert address.on_this_machine == (endpoint is not None and endpoint.startswith("http:"))


@pytest.mark.parametrize(
    "uri",
    [
        "s3://",
        "s3:///prefix",
        "s3://Records",
        "s3://ab",
        "s3://records/a//b",
        "s3://records/../b",
        "s3://records/.hidden",
        "s3://records/a b",
        "s3://records#part",
        "s3://AKIASECRET:topsecret@records",
        "s3://records?secret_key=topsecret",
        "s3://records?region=a&region=topsecret",
        "s3://records?topsecret",
        "s3://records?region=top/secret",
        "s3://records?endpoint=http://s3.example",
        "s3://records?endpoint=https://AKIASECRET:topsecret@s3.example",
        "s3://records?endpoint=https://s3.example/topsecret",
        "s3://records?endpoint=ftp://s3.example",
        "s3://records?endpoint=https://",
        "s3://records?endpoint=https://s3.example:topsecret",
        "s3://records?endpoint=",
        "s3://[topsecret",
    ],
)
def test_what_is_no_vault_is_refused_without_repeating_it(uri: str) -> None:
    """Also where somebody wrote credentials into it; plain HTTP is for this machine alone."""
    with pytest.raises(ConfigInvalid) as refusal:
        S3Address.parse(uri)
    assert "secret" not in str(refusal.value).lower()


def test_credentials_do_not_show() -> None:
    """Their text form, which a traceback or a log would show, has nothing of them."""
    assert "topsecret" not in repr(S3Credentials("topsecret", "topsecret", "topsecret"))
