"""What each refusal of a server means to whoever asked."""

from __future__ import annotations

import pytest

from nirantar.errors import NotFound, VaultUnavailable
from nirantar.host.simulated import SimulatedHost
from nirantar.vault.s3_address import S3Address
from nirantar.vault.s3_requests import Refused, S3Requests


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("NoSuchBucket", 404, "no such bucket"),
        ("InvalidAccessKeyId", 403, "Renew them"),
        ("ExpiredToken", 400, "Renew them"),
        ("RequestTimeTooSkewed", 403, "Set the clock"),
        ("PermanentRedirect", 301, "Correct region"),
        ("QuotaExceeded", 403, "Raise its quota"),
        ("507", 507, "Raise its quota"),
        ("AccessDenied", 403, "no right"),
        ("403", 403, "no right"),
        ("Odd", 418, "answered 418 Odd"),
    ],
)
def test_a_refusal_is_a_sentence_that_names_bucket_and_key(code: str, status: int, said: str) -> None:
    """Each says what to do where something can be done."""
    with SimulatedHost(1) as host:
        requests = S3Requests(host, S3Address.parse("s3://records/city"), None)
        failure = requests.failed("roster/00000001.note", Refused(code, status))
    assert isinstance(failure, VaultUnavailable)
    assert said in str(failure)
    assert "s3://records/city" in str(failure)
    assert "roster/00000001.note" in str(failure)


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchVersion", "404"])
def test_what_is_not_there_is_not_found(code: str) -> None:
    """An object that is missing is told from a vault that cannot be used."""
    with SimulatedHost(1) as host:
        failure = S3Requests(host, S3Address.parse("s3://records"), None).failed("a", Refused(code, 404))
    assert isinstance(failure, NotFound)
