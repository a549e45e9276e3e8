"""Requests to one bucket: signed, bounded in time, repeated where that can help, and every failure a sentence.

A server that does not answer is not asked again for a while: whoever comes next is told at once instead of waiting as
long, so a start or a page is held up once and not by every question.
"""

from __future__ import annotations

from contextlib import closing
from threading import Event
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from nirantar import limits
from nirantar.errors import NotFound, VaultUnavailable
from nirantar.host.port import Host
from nirantar.vault.s3_address import S3Address, S3Credentials

_PIECE_BYTES: Final = 1024 * 1024
_MISSING: Final = frozenset({"NoSuchKey", "NoSuchVersion", "404"})
_RENEW: Final = "the server does not accept the credentials. Renew them."
_REGION: Final = "the bucket is in another region. Correct region in the vault's URI."
_FULL: Final = frozenset({"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507"})
_SENTENCES: Final = {
    "NoSuchBucket": "the server has no such bucket. Is its name right, is it this account's?",
    "InvalidAccessKeyId": _RENEW, "SignatureDoesNotMatch": _RENEW, "InvalidToken": _RENEW, "ExpiredToken": _RENEW,
    "RequestTimeTooSkewed": "this machine's clock and the server's differ too much. Set the clock.",
    "PermanentRedirect": _REGION, "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    **dict.fromkeys(_FULL, "it is full. Raise its quota."),
}
_PASSING: Final = frozenset({
    "SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "RequestTimeoutException", "Throttling",
    "TooManyRequests", "ConditionalRequestConflict", "OperationAborted",
})
_NO_CREDENTIALS: Final = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)
_SILENCE: Final = (ConnectTimeoutError, ReadTimeoutError)


class Refused(Exception):
    """The server answered a request with an error that repeating does not change."""

    def __init__(self, code: str, status: int) -> None:
        self.code = code
        self.status = status
        super().__init__(code)


class S3Requests:
    """One bucket's server, asked by any number of threads."""

    def __init__(self, host: Host, address: S3Address, credentials: S3Credentials | None) -> None:
        """Ready to ask; nothing is asked yet. Without `credentials` they come from where AWS's tools look for them."""
        self.address = address
        self._host = host
        self._given = credentials
        self._client: Any = None
        self._silent_until_us = 0
        self._silence = ""
        self._pause = Event()

    def call(self, operation: str, key: str, **parameters: Any) -> Any:
        """The answer to one of boto3's S3 client methods on this bucket; `key` is the vault's and only names it in
        errors. Raises Refused, or VaultUnavailable when there is no answer after limits.S3_ATTEMPTS_MAX."""
        return self._asked(operation, key, parameters, lambda answer: answer)

    def body(self, key: str, **parameters: Any) -> bytes:
        """The whole body of a `get_object`; one that ends too early is asked for again. Raises as `call` does."""
        found: bytes = self._asked("get_object", key, parameters, self._read)
        return found

    def unavailable(self, key: str, why: str) -> VaultUnavailable:
        """The error for this key."""
        return VaultUnavailable(f"{self.address.name} cannot be used for {key or 'listing'}: {why}")

    def failed(self, key: str, refusal: Refused) -> VaultUnavailable | NotFound:
        """What a refusal means to a reader or writer who expected none."""
        code = refusal.code
        if code in _MISSING:
            return NotFound(f"{self.address.name} has no object {key}")
        if code in _SENTENCES:
            return self.unavailable(key, _SENTENCES[code])
        if refusal.status == 403:
            return self.unavailable(key, "the credentials have no right to it. See the documented policy.")
        return self.unavailable(key, f"the server answered {refusal.status} {code}.")

    def _asked(self, operation: str, key: str, parameters: dict[str, Any], read: Any) -> Any:
        last = ""
        for attempt in range(limits.S3_ATTEMPTS_MAX):
            self._heed_silence(key)
            if attempt:
                self._pause.wait(self._backoff_seconds(attempt))
            try:
                answer = getattr(self._connected(), operation)(Bucket=self.address.bucket, **parameters)
                return read(answer)
            except ClientError as answer:
                refusal = _refusal(answer)
                if not _is_passing(refusal):
                    raise refusal from None
                last = f"the server answered {refusal.status} {refusal.code}"
            except _SILENCE:
                raise self._gone_silent(key) from None
            except _NO_CREDENTIALS:
                raise self.unavailable(key, (
                    "there are no credentials for it. Write them into the node's keys/s3-credentials, or set "
                    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
                )) from None
            except NoRegionError:
                raise self.unavailable(key, "its region is not known. Add region=NAME to the vault's URI.") from None
            except SSLError:
                raise self.unavailable(key, "the server's certificate is not one that this machine trusts.") from None
            except (BotoCoreError, ResponseParserError) as failure:
                last = f"the connection failed ({type(failure).__name__})"
        raise self.unavailable(key, f"{last}, {limits.S3_ATTEMPTS_MAX} times.")

    def _read(self, answer: Any) -> bytes:
        """A body within limits.S3_BODY_SECONDS_MAX, however slowly it drips."""
        deadline_us = self._host.monotonic_us() + int(limits.S3_BODY_SECONDS_MAX * 1e6)
        pieces = []
        # Not `with body`: that gives the connection's own stream, which takes an early end for the end.
        with closing(answer["Body"]) as body:
            while piece := body.read(_PIECE_BYTES):
                pieces.append(piece)
                if self._host.monotonic_us() > deadline_us:
                    raise ReadTimeoutError(endpoint_url=self.address.endpoint)
        return b"".join(pieces)

    def _connected(self) -> Any:
        if self._client is None:
            address, given = self.address, self._given
            session = boto3.session.Session() if given is None else boto3.session.Session(
                aws_access_key_id=given.access_key_id, aws_secret_access_key=given.secret_access_key,
                aws_session_token=given.session_token,
            )
            self._client = session.client(
                "s3", endpoint_url=address.endpoint, region_name=address.region, config=Config(
                    signature_version="s3v4",
                    s3={"addressing_style": "auto" if address.endpoint is None else "path"},
                    connect_timeout=limits.S3_CONNECT_SECONDS_MAX,
                    read_timeout=limits.S3_ANSWER_SECONDS_MAX,
                    # Repeated here instead, where silence, refusals and hiccups are told apart.
                    retries={"total_max_attempts": 1, "mode": "standard"},
                    max_pool_connections=limits.S3_CONNECTIONS_MAX,
                    # A stored object that differs from its checksum is for readers to find and name, not to be refused.
                    response_checksum_validation="when_required",
                    request_checksum_calculation="when_required",
                )
            )
        return self._client

    def _heed_silence(self, key: str) -> None:
        left_us = self._silent_until_us - self._host.monotonic_us()
        if left_us > 0:
            raise self.unavailable(key, f"{self._silence} It is asked again in {left_us / 1e6:.0f} s.")

    def _gone_silent(self, key: str) -> VaultUnavailable:
        self._silence = f"the server did not answer within {limits.S3_ANSWER_SECONDS_MAX:.0f} s."
        self._silent_until_us = self._host.monotonic_us() + int(limits.S3_SILENCE_SECONDS * 1e6)
        return self.unavailable(key, self._silence)

    def _backoff_seconds(self, attempt: int) -> float:
        """Anything up to a bound that doubles: those who failed together do not come back together."""
        share = int.from_bytes(self._host.random_bytes(4), "big") / 2**32
        return float(share * min(limits.S3_BACKOFF_SECONDS_MAX, limits.S3_BACKOFF_SECONDS * 2**attempt))


def _is_passing(refusal: Refused) -> bool:
    """Whether the same request may be answered otherwise in a moment."""
    if refusal.code in _PASSING:
        return True
    return refusal.status >= 500 and refusal.status != 501 and refusal.code not in _FULL


def _refusal(answer: ClientError) -> Refused:
    """An error's code and HTTP status; nothing else of it is repeated, since some servers echo what was signed."""
    code = str(answer.response.get("Error", {}).get("Code", ""))
    status = answer.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return Refused("".join(each for each in code if each.isalnum())[:60] or str(status), int(status))
