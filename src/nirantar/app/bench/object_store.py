"""A real S3 server with Object Lock on this machine's loopback, started for a measurement or a test and gone after it.

It is SeaweedFS (`weed`), which `make test` installs. Its lock holds at the S3 interface only, and whoever has its
directory has its objects: it measures and tests what speaks to S3, and is no vault for a hospital.
"""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

import boto3

from nirantar.errors import SetupError

REGION: Final = "local"
READY_SECONDS_MAX: Final = 60.0
NOT_FOR_A_NODE: Final = (
    "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutBucketVersioning", "s3:PutBucketPolicy",
    "s3:PutLifecycleConfiguration",
)
"""What a node must not do, and this server's plain "Write" would let it."""
_PROGRAM: Final = "weed"
_ROLES: Final = ("master", "volume", "filer", "s3")
_ACTIONS: Final = {
    "administrator": ("Admin",),
    "node": ("Read", "Write", "List", "GetObjectRetention", "PutObjectRetention", "GetBucketObjectLockConfiguration"),
    "guest": (),
}
_VOLUME_MEGABYTES: Final = 64
_VOLUMES_MAX: Final = 40


@dataclass(frozen=True, slots=True)
class Login:
    """What a client signs its requests with."""

    name: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)

    @property
    def credentials_file(self) -> str:
        """The text of a file that gives it."""
        return f"[default]\naws_access_key_id = {self.access_key}\naws_secret_access_key = {self.secret_key}\n"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a process is given it."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """The running server. `administrator` may do everything; `node` only what a node needs, once `make_bucket` has
    laid its policy on a bucket; `guest` what a bucket's policy grants it."""

    process: subprocess.Popen[bytes]
    port: int
    administrator: Login
    node: Login
    guest: Login

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def uri(self, bucket: str, prefix: str = "", *, endpoint: str | None = None) -> str:
        """The vault in a bucket, by way of another `endpoint` (a proxy's) if one is given."""
        return f"s3://{bucket}/{prefix}?endpoint={endpoint or self.endpoint}&region={REGION}"

    def client(self, login: Login | None = None) -> Any:
        """An S3 client of the administrator's, or of `login`."""
        who = login or self.administrator
        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id=who.access_key,
            aws_secret_access_key=who.secret_key,
        )

    def make_bucket(self, bucket: str, *, denied: Sequence[str] = NOT_FOR_A_NODE, lock: bool = True) -> None:
        """A new bucket, with Object Lock unless told otherwise, in which the node's login is `denied` these actions."""
        client = self.client()
        client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=lock)
        if denied:
            client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(_policy(bucket, denied)))

    def pause(self) -> None:
        """Let it hang: connections are taken, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Start a server on free ports, with its data in a temporary directory; killed and deleted at the end.

    Raises SetupError where the program is not installed or does not answer.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nirantar-s3-")))
        logins = [Login(name, secrets.token_hex(10), secrets.token_hex(20)) for name in _ACTIONS]
        settings = directory / "s3.json"
        settings.touch(mode=0o600)
        settings.write_text(json.dumps(_identities(logins)))
        ports = _free_ports(len(_ROLES))
        # SIGKILL: it waits half a minute for a polite end. What it holds is scratch.
        process = subprocess.Popen(  # noqa: S603 - the program that was found, with arguments of ours
            _command(_program(), directory, settings, ports), cwd=directory,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        store = ObjectStore(process, ports["s3"], *logins)
        _wait_until_ready(store)
        yield store


def _command(program: str, directory: Path, settings: Path, ports: Mapping[str, int]) -> list[str]:
    data = directory / "data"
    data.mkdir()
    return [
        program, "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-master.port={ports['master']}", f"-master.port.grpc={ports['master.grpc']}", "-master.telemetry=false",
        f"-master.volumeSizeLimitMB={_VOLUME_MEGABYTES}", "-master.electionTimeout=1s",
        "-master.heartbeatInterval=100ms",
        f"-volume.port={ports['volume']}", f"-volume.port.grpc={ports['volume.grpc']}", f"-volume.max={_VOLUMES_MAX}",
        "-volume.preStopSeconds=0",
        "-filer", "-filer.disableHttp", f"-filer.port={ports['filer']}", f"-filer.port.grpc={ports['filer.grpc']}",
        "-s3", f"-s3.port={ports['s3']}", f"-s3.port.grpc={ports['s3.grpc']}", f"-s3.config={settings}",
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false", "-s3.autoCreateBucket=false",
    ]


def _identities(logins: Sequence[Login]) -> dict[str, Any]:
    return {"identities": [
        {
            "name": login.name, "actions": _ACTIONS[login.name],
            "credentials": [{"accessKey": login.access_key, "secretKey": login.secret_key}],
        }
        for login in logins
    ]}


def _policy(bucket: str, denied: Sequence[str]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": {"AWS": "arn:aws:iam::000000000000:user/node"}, "Action": list(denied),
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }]}


def _program() -> str:
    beside = Path(sys.executable).with_name(_PROGRAM)
    found = str(beside) if beside.exists() else shutil.which(_PROGRAM)
    if found is None:
        raise SetupError(f"The S3 server {_PROGRAM} is not installed. It comes with: make .venv/installed.dev")
    return found


def _free_ports(roles: int) -> dict[str, int]:
    """A port for each role and one for its inner calls, none of them in use now."""
    with ExitStack() as stack:
        taken = []
        for _ in range(2 * roles):
            probe = stack.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            taken.append(probe.getsockname()[1])
    return {
        **dict(zip(_ROLES, taken[:roles], strict=True)),
        **dict(zip((f"{role}.grpc" for role in _ROLES), taken[roles:], strict=True)),
    }


def _wait_until_ready(store: ObjectStore) -> None:
    """Return once it stores and lists; its port answers well before that."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        if store.process.poll() is not None:
            raise SetupError(f"The S3 server {_PROGRAM} ended with {store.process.returncode} before it was ready.")
        connection = HTTPConnection("127.0.0.1", store.port, timeout=1.0)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except (OSError, HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    raise SetupError(f"The S3 server {_PROGRAM} did not answer within {READY_SECONDS_MAX:.0f} s.")
