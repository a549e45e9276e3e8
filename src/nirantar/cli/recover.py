"""`nirantar recover`: the hospital from a vault and the recovery identity, on a clean directory."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nirantar.app.recovering import RecoveryReport
from nirantar.app.recovering import recover as recover_node
from nirantar.app.recovery_report import REPORT_NOTE_FILE
from nirantar.app.vaults import credentials_note, open_vault, require_apart
from nirantar.cli import terminal
from nirantar.cli.identity_file import read_identity
from nirantar.continuity.witnessing import Witnesses
from nirantar.host.real import RealHost
from nirantar.tlog.cosignature import CosignatureVerifier


def recover(
    directory: Path,
    /,
    *,
    vault: list[str],
    identity: Path,
    node: str | None = None,
    at: str | None = None,
    durability: Literal["node", "vault"] = "node",
    keeper: list[str] | None = None,
    witness: list[str] | None = None,
    json: bool = False,
) -> None:
    """Build a node in the empty DIRECTORY from nothing but a vault and the recovery identity.

    Every entry is decrypted, hashed and compared with what the lost nodes signed. The new node has a new name and key,
    since the old key counts as stolen. Exit code 1 means that something the vault promised is missing or altered: the
    report names it, and the rest is usable.

    Example: `nirantar recover /srv/new --vault file:///mnt/vault --identity recovery-identity.txt`

    Parameters
    ----------
    directory
        A new or empty directory.
    vault
        The vault's URI; several are tried in turn for each object.
    identity
        The file that `nirantar init` wrote.
    node
        The new node's name; by default the old one's with -r and a number.
    at
        Show the hospital as of this time, e.g. 2026-11-23T07:00:00+05:30. Later entries are kept as evidence only.
    durability
        What a write of the new node waits for: `node` or `vault`. The lost node's setting is not in the vault.
    keeper
        Another keeper's URI, asked only how far each log had come. Keepers among the vaults are asked anyway.
    witness
        A keeper's verification key; may be repeated. One of them must say how far each log had come, else the recovery
        is not complete; the new node believes no other.
    json
        Report as one JSON object.
    """
    host = RealHost()
    key = read_identity(host, identity)
    for uri in vault:
        require_apart(directory.absolute(), uri)
    with terminal.progress("Reading the vault") as reading, terminal.progress("Folding") as folding:
        report = recover_node(
            host, [open_vault(host, uri) for uri in vault], vault, key, directory.absolute(), node=node, at=at,
            durability=durability, reading=reading, folding=folding,
            witnesses=Witnesses(
                [open_vault(host, uri) for uri in keeper or ()],
                [CosignatureVerifier.parse(each.strip()) for each in witness or ()],
            ),
        )
    if json:
        terminal.print_json(report)
    else:
        _print(report, directory)
        if note := credentials_note(directory.absolute(), vault):
            terminal.note(note)
    if not report.ok:
        raise SystemExit(terminal.EXIT_DAMAGE)


def _print(report: RecoveryReport, directory: Path) -> None:
    terminal.print_table(
        f"{report.hospital}, recovered from {', '.join(report.vaults)}",
        ("log", "entries", "proven by signature", "lost", "folded"),
        [
            (log.origin, f"{log.entries:,}", f"{log.proven:,}", f"{log.lost:,}", f"{log.folded:,}")
            for log in report.logs
        ],
    )
    clinical = {kind: count for kind, count in report.resources.items() if not kind.startswith("Nirantar")}
    terminal.print_facts("Result", [
        ("resources", f"{sum(clinical.values()):,} in {terminal.counted(len(clinical), 'type')}"),
        ("time", f"{report.seconds_reading:.2f} s reading and proving, {report.seconds_folding:.2f} s folding"),
        ("new node", f"{report.node} in {directory}"),
        ("signed report", f"{directory / REPORT_NOTE_FILE}, and in the vault as {report.node}/recovery.note"),
    ])
    for lacking in report.vaults_without_report:
        terminal.caution(f"A vault did not take the signed report: {lacking}")
    for finding in report.findings:
        terminal.bad(f"{finding.where}: {finding.what}")
    if report.ok:
        terminal.good("Complete: every entry is there, and every one is proven.")
        terminal.note(f"Next: nirantar serve {directory}")
    else:
        terminal.bad("Not complete. What is named above is missing or altered; everything else is proven and usable.")
