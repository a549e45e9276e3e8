"""A vault behind a keeper: `keeper+https://host:port?token-file=/path&ca=/path`, our put-only server elsewhere.

The token is read from its file at each call, so that a new one works without a restart; it stands in no URI that is
shown. `ca` is the certificate authority that the keeper's certificate must come from; without it the system's count.
Nothing that a keeper answers is trusted here: objects are proven by whoever reads them, checkpoints by the log's key.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from nirantar.errors import (
    ConfigInvalid,
    Conflict,
    Forbidden,
    NirantarError,
    NotFound,
    ProofInvalid,
    VaultUnavailable,
    WitnessConflict,
)
from nirantar.host.port import Host
from nirantar.limits import (
    KEEPER_ANSWER_SECONDS_MAX,
    KEEPER_AWAY_SECONDS,
    KEEPER_CHECKPOINT_BYTES_MAX,
    KEEPER_CONNECT_SECONDS_MAX,
    KEEPER_CONNECTIONS_IDLE_MAX,
    KEEPER_OBJECT_BYTES_MAX,
    KEEPER_TOKEN_FILE_BYTES_MAX,
)
from nirantar.tlog.submission import encode_submission
from nirantar.vault.keys import check_key

PLAIN_SCHEME: Final = "keeper+http"
TLS_SCHEME: Final = "keeper+https"
SCHEMES: Final = frozenset({PLAIN_SCHEME, TLS_SCHEME})
WARNING: Final = "spoken to in plain HTTP: whoever is on the network reads its token"

_SENTENCE_BYTES: Final = 500


@dataclass(frozen=True, slots=True)
class KeeperAddress:
    """Where a keeper is and with which token file it is spoken to."""

    tls: bool
    host: str
    port: int
    token_file: Path
    ca: Path | None

    @classmethod
    def parse(cls, uri: str) -> KeeperAddress:
        """Read a vault URI. Raises ConfigInvalid with the form that it should have."""
        form = f"{TLS_SCHEME}://HOST:PORT?token-file=/absolute/path"
        try:
            parts = urlsplit(uri)
            port, host = parts.port, parts.hostname
        except ValueError:
            raise ConfigInvalid(f"A keeper's URI has a port that is none. Write {form}.") from None
        if parts.scheme not in SCHEMES or not host or port is None or parts.path not in ("", "/") or parts.username:
            raise ConfigInvalid(f"This is not a keeper's URI. Write {form}, with &ca=/path for your own authority.")
        query = parse_qs(parts.query, keep_blank_values=True)
        if set(query) - {"token-file", "ca"} or "token-file" not in query:
            raise ConfigInvalid(f"A keeper's URI names token-file and perhaps ca, nothing else. Write {form}.")
        token_file, ca = Path(query["token-file"][0]), Path(query["ca"][0]) if "ca" in query else None
        if not token_file.is_absolute() or (ca is not None and not ca.is_absolute()):
            raise ConfigInvalid(f"token-file and ca of a keeper's URI are absolute paths. Write {form}.")
        return cls(parts.scheme == TLS_SCHEME, host, port, token_file, ca)

    @property
    def location(self) -> str:
        """The URI without what is nobody else's affair."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{TLS_SCHEME if self.tls else PLAIN_SCHEME}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes

    @property
    def sentence(self) -> str:
        return self.body[:_SENTENCE_BYTES].decode("utf-8", "replace").strip() or f"HTTP status {self.status}"


class KeeperVault:
    """A vault.port.WitnessingVault over HTTP. Safe between threads: each call has a connection to itself, so that a
    large object on its way holds up no small one; those that are idle are used again."""

    def __init__(self, host: Host, address: KeeperAddress) -> None:
        """Use the keeper at `address`. Nothing is read or sent yet."""
        self._idle: list[http.client.HTTPConnection] = []
        self._files = host.files
        self._address = address
        self._monotonic_us = host.monotonic_us
        self._turn = Lock()
        self._away_since_us: int | None = None

    def __del__(self) -> None:
        """The connections go with the vault: the port has nothing to close."""
        for connection in self._idle:
            connection.close()

    @property
    def location(self) -> str:
        """`keeper+https://host:port`."""
        return self._address.location

    @property
    def warning(self) -> str | None:
        """What to print beside `location`: nothing, where it is spoken to by TLS."""
        return None if self._address.tls else WARNING

    def require_protection(self) -> str | None:
        """None: what a keeper protects rests on who administers its machine, which no answer of it could prove."""
        return None

    def put_new(self, key: str, data: bytes) -> None:
        """Store a new object; see the port. Whatever else the keeper refuses is VaultUnavailable with its sentence."""
        check_key(key)
        answer = self._call("PUT", f"/vault/{key}", data)
        if answer.status == 409:
            raise Conflict(f"{self.location}: {answer.sentence}")
        if answer.status not in (200, 201):
            raise self._refused(answer)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of an object, or of a range of it; see the port."""
        check_key(key)
        if length == 0:
            # HTTP has no range of no bytes; whether the object is there is still told.
            return self.get(key, start, 1)[:0]
        headers = {}
        if start or length is not None:
            headers["Range"] = f"bytes={start}-" + ("" if length is None else str(start + length - 1))
        answer = self._call("GET", f"/vault/{key}", headers=headers)
        if answer.status == 404:
            raise NotFound(f"{self.location} has no object {key}")
        if answer.status not in (200, 206):
            raise self._refused(answer)
        return answer.body

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Keys in order; see the port. A page a request."""
        while True:
            answer = self._call("GET", f"/vault/?prefix={quote(prefix, safe='')}&after={quote(after, safe='')}")
            if answer.status != 200:
                raise self._refused(answer)
            keys = answer.body.decode("utf-8", "replace").split()
            if not keys:
                return
            yield from keys
            after = keys[-1]

    def cosigned(self, origin: str) -> bytes | None:
        """The newest cosigned checkpoint of a log; see the port."""
        answer = self._call("GET", f"/{sha256(origin.encode()).hexdigest()}/checkpoint")
        if answer.status == 404:
            return None
        if answer.status != 200 or len(answer.body) > KEEPER_CHECKPOINT_BYTES_MAX:
            raise self._refused(answer)
        return answer.body

    def cosign(self, note: bytes, old_size: int, proof: Sequence[bytes]) -> bytes:
        """Have a checkpoint cosigned; see the port."""
        answer = self._call("POST", "/add-checkpoint", encode_submission(old_size, proof, note))
        text = answer.body[:_SENTENCE_BYTES].decode("utf-8", "replace").strip()
        if answer.status == 409 and text.isascii() and text.isdigit():
            raise WitnessConflict(int(text))
        meaning: dict[int, type[NirantarError]] = {403: Forbidden, 404: NotFound, 422: ProofInvalid}
        if answer.status in meaning:
            raise meaning[answer.status](f"{self.location}: {answer.sentence}")
        if answer.status != 200 or len(answer.body) > KEEPER_CHECKPOINT_BYTES_MAX:
            raise self._refused(answer)
        return note + answer.body

    def _call(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> _Answer:
        """One request; where a connection that was left open has ended meanwhile, once more on a fresh one: every call
        here may be repeated."""
        sent = {"Authorization": f"Bearer {self._token()}", **(headers or {})}
        with self._turn:
            connection = self._idle.pop() if self._idle else None
        try:
            if connection is not None:
                try:
                    return self._send(connection, method, path, body, sent)
                except (OSError, http.client.HTTPException) as reason:
                    if isinstance(reason, TimeoutError):
                        raise
            return self._send(self._connected_now(), method, path, body, sent)
        except (OSError, http.client.HTTPException) as reason:
            raise self._away(reason) from None

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> _Answer:
        """One request on this connection, which is kept for the next or closed."""
        keep = False
        try:
            connection.request(method, path, body if method != "GET" else None, headers)
            answer = connection.getresponse()
            data = answer.read(KEEPER_OBJECT_BYTES_MAX + 1)
            if len(data) > KEEPER_OBJECT_BYTES_MAX:
                raise http.client.HTTPException("the answer is longer than any object")
            declared = answer.getheader("Content-Length", "")
            if declared.isdigit() and int(declared) != len(data):
                raise http.client.IncompleteRead(data, int(declared) - len(data))
            keep = not answer.will_close
            return _Answer(answer.status, data)
        finally:
            with self._turn:
                keep = keep and len(self._idle) < KEEPER_CONNECTIONS_IDLE_MAX
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()

    def _connected_now(self) -> http.client.HTTPConnection:
        """A new connection. One that just failed is not tried again at once: a node that starts asks several times, and
        must not wait for each."""
        since_us, now_us = self._away_since_us, self._monotonic_us()
        if since_us is not None and now_us - since_us < KEEPER_AWAY_SECONDS * 1e6:
            raise OSError("it was away a moment ago")
        connection = self._connection_to()
        try:
            connection.connect()
        except OSError:
            connection.close()
            self._away_since_us = self._monotonic_us()
            raise
        self._away_since_us = None
        connection.sock.settimeout(KEEPER_ANSWER_SECONDS_MAX)
        return connection

    def _connection_to(self) -> http.client.HTTPConnection:
        address = self._address
        if not address.tls:
            return http.client.HTTPConnection(address.host, address.port, timeout=KEEPER_CONNECT_SECONDS_MAX)
        context = ssl.create_default_context(cafile=None if address.ca is None else str(address.ca))
        return http.client.HTTPSConnection(
            address.host, address.port, timeout=KEEPER_CONNECT_SECONDS_MAX, context=context
        )

    def _token(self) -> str:
        path = self._address.token_file
        try:
            text = self._files.read(path, 0, KEEPER_TOKEN_FILE_BYTES_MAX).decode("ascii").strip()
        except (OSError, UnicodeDecodeError):
            text = ""
        if not text or not text.isprintable():
            raise VaultUnavailable(f"{path} holds no token for {self.location}: the keeper's operator gives one.")
        return text

    def _away(self, reason: Exception) -> VaultUnavailable:
        why = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        return VaultUnavailable(f"{self.location} cannot be reached: {why}")

    def _refused(self, answer: _Answer) -> VaultUnavailable:
        return VaultUnavailable(f"{self.location} refused: {answer.sentence}")
