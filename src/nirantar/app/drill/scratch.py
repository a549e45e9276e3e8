"""A scratch hospital for drills and demos: temporary directories that carry the attacker's marker and go away."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nirantar.app.drill.attacker import mark
from nirantar.app.drill.processes import run

NODE: Final = "opd-1"
HOSPITAL: Final = "Drill Hospital"


@dataclass(frozen=True, slots=True)
class Bucket:
    """A scratch vault in a bucket, and the environment by which the node may use it."""

    uri: str
    environment: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Scratch:
    """Where everything lies; all below `root`, which is deleted at the end."""

    root: Path
    bucket: Bucket | None = None

    @property
    def vault_uri(self) -> str:
        """The vault of the scratch hospital."""
        return self.vault.as_uri() if self.bucket is None else self.bucket.uri

    @property
    def environment(self) -> dict[str, str]:
        """What the node's processes get with it."""
        return {} if self.bucket is None else self.bucket.environment

    @property
    def node(self) -> Path:
        """The directory of the node that is attacked."""
        return self.root / "node"

    @property
    def recovered(self) -> Path:
        """The clean directory that recovery fills."""
        return self.root / "recovered"

    @property
    def vault(self) -> Path:
        """The vault, which the attacker of a node does not reach."""
        return self.root / "vault"

    @property
    def identity(self) -> Path:
        """The recovery identity; in life it lies in a safe."""
        return self.root / "safe" / "recovery-identity.txt"

    @property
    def log(self) -> Path:
        """What the processes print."""
        return self.root / "log.txt"

    def files_of_the_node(self) -> list[str]:
        """The names of the attacked node's files as they are now, in a stable order."""
        names = (path.relative_to(self.node).as_posix() for path in self.node.rglob("*") if path.is_file())
        return sorted(names)

    def open_hospital(self, hospital: str, durability: str) -> str | None:
        """`nirantar init`; the vault's warning. Node and vault are marked as scratch."""
        report = run([
            "init", str(self.node), "--hospital", hospital, "--node", NODE, "--vault", self.vault_uri,
            "--identity-out", str(self.identity), "--durability", durability, "--json",
        ], self.log, environment=self.environment)
        mark(self.node)
        if self.bucket is None:
            mark(self.vault)
        warning: str | None = report["vaults"][0]["warning"]
        return warning

    def token(self, directory: Path, role: str, name: str) -> str:
        """`nirantar token` for a node of this hospital."""
        return str(run(["token", str(directory), "--role", role, "--name", name, "--json"], self.log)["token"])

    def recover(self) -> Recovery:
        """`nirantar recover` from the vault and the identity alone, into the clean directory."""
        report = run([
            "recover", str(self.recovered), "--vault", self.vault_uri, "--identity", str(self.identity), "--json",
        ], self.log, codes=(0, 1), environment=self.environment)
        mark(self.recovered)
        return Recovery(
            complete=report["ok"], entries_verified=sum(each["proven"] - each["lost"] for each in report["logs"]),
            findings=tuple(f"{each['where']}: {each['what']}" for each in report["findings"]),
        )


@dataclass(frozen=True, slots=True)
class Recovery:
    """What `nirantar recover` reported: whether everything came back, how many
    entries were read and are proven by a signature, and
    a sentence for each thing that is damaged or missing."""

    complete: bool
    entries_verified: int
    findings: tuple[str, ...]


@contextmanager
def scratch(bucket: Bucket | None = None) -> Iterator[Scratch]:
    """A new scratch place, deleted however the context ends."""
    root = Path(tempfile.mkdtemp(prefix="nirantar-scratch-")).resolve()
    try:
        mark(root)
        yield Scratch(root, bucket)
    finally:
        shutil.rmtree(root, ignore_errors=True)
