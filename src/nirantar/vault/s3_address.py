"""Which bucket a vault is, and how its server is reached: `s3://BUCKET[/PREFIX][?endpoint=URL][&region=NAME]`.

A URI stands in settings, on pages and in reports, so it never holds credentials; no error here repeats a URI, lest it
repeat some that were written into it all the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import SplitResult, parse_qsl, urlsplit

from nirantar.errors import ConfigInvalid

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_REGION: Final = re.compile(r"[a-z0-9-]{1,40}")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_FORM: Final = "Write s3://BUCKET/PREFIX?endpoint=https://HOST&region=NAME; endpoint is left out for AWS."


@dataclass(frozen=True, slots=True)
class S3Credentials:
    """What requests are signed with. Its text form shows none of it."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class S3Address:
    """A place in a bucket. `prefix` has no slash at its ends; `endpoint` is None for AWS itself, `region` None where
    the environment tells it."""

    bucket: str
    prefix: str
    endpoint: str | None
    region: str | None

    @classmethod
    def parse(cls, uri: str) -> Self:
        """Read a URI. Raises ConfigInvalid with the form that is meant."""
        try:
            parts = urlsplit(uri)
            given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True) if parts.query else []
        except ValueError:
            raise ConfigInvalid(f"The S3 vault is not a URI. {_FORM}") from None
        if "@" in parts.netloc:
            raise ConfigInvalid("An S3 vault's URI never holds credentials: they stand in keys/s3-credentials.")
        if not _BUCKET.fullmatch(parts.netloc) or parts.fragment:
            raise ConfigInvalid(f"The S3 vault's bucket is not a bucket's name. {_FORM}")
        named = dict(given)
        if len(named) < len(given) or named.keys() - {"endpoint", "region"}:
            raise ConfigInvalid(f"The S3 vault {parts.netloc} is given more than endpoint and region. {_FORM}")
        prefix, region = parts.path.strip("/"), named.get("region")
        if prefix and not _PREFIX.fullmatch(prefix):
            raise ConfigInvalid(f"The S3 vault {parts.netloc} has a prefix of other than letters, digits, . _ - /")
        if region is not None and not _REGION.fullmatch(region):
            raise ConfigInvalid(f"The S3 vault {parts.netloc} has a region that is none.")
        endpoint = named.get("endpoint")
        return cls(parts.netloc, prefix, None if endpoint is None else _endpoint(parts.netloc, endpoint), region)

    @property
    def on_this_machine(self) -> bool:
        """Whether the server is reached by loopback: then this machine's administrator may have it, too."""
        return self.endpoint is not None and urlsplit(self.endpoint).hostname in _LOOPBACK

    def __str__(self) -> str:
        """The URI again."""
        parameters = "&".join(
            f"{name}={value}" for name, value in (("endpoint", self.endpoint), ("region", self.region)) if value
        )
        return self.name + (f"?{parameters}" if parameters else "")

    @property
    def name(self) -> str:
        """`s3://bucket/prefix`, for sentences."""
        return f"s3://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")

    def object_name(self, key: str) -> str:
        """A vault's key as the bucket's."""
        return f"{self.prefix}/{key}" if self.prefix else key


def _endpoint(bucket: str, endpoint: str) -> str:
    """A server's address that can be spoken to safely: HTTPS, or HTTP that does not leave this machine."""
    try:
        parts = urlsplit(endpoint)
        whole = _whole(parts)
    except ValueError:
        whole = False
    if not whole:
        raise ConfigInvalid(f"The S3 vault {bucket} has an endpoint that is not https://HOST or https://HOST:PORT.")
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise ConfigInvalid(
            f"The S3 vault {bucket} has an endpoint without HTTPS: whoever stands in between could confirm what was "
            "never stored. Write https://; plain http:// is for a server on this machine only."
        )
    return endpoint.rstrip("/")


def _whole(parts: SplitResult) -> bool:
    return (
        parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        and parts.path in ("", "/") and not parts.query and not parts.fragment
    )
