"""`nirantar recover`: the hospital from a vault and the recovery identity, on a clean directory."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nirantar.app.node import Node
from nirantar.app.recovering import RecoveryReport
from nirantar.app.recovering import recover as recover_node
from nirantar.app.recovering_instantly import recover_instantly
from nirantar.app.recovery_report import REPORT_NOTE_FILE
from nirantar.app.vaults import credentials_note, open_vault, require_apart
from nirantar.cli import terminal
from nirantar.cli.identity_file import read_identity
from nirantar.cli.serving import serve_until_told
from nirantar.continuity.witnessing import Witnesses
from nirantar.errors import SetupError
from nirantar.host.real import RealHost
from nirantar.tlog.cosignature import CosignatureVerifier


def recover(
    directory: Path,
    /,
    *,
    identity: Path,
    vault: list[str] | None = None,
    serve: bool = False,
    resume: bool = False,
    host: str | None = None,
    port: int | None = None,
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

    With --serve the hospital is open at once: the newest good snapshot is served while the rest comes in the
    background, proven as it comes. Stopped before that is over, `nirantar serve DIRECTORY` goes on with the view, and
    --resume with the old logs, too.

    Example: `nirantar recover /srv/new --vault file:///mnt/vault --identity recovery-identity.txt --serve`

    Parameters
    ----------
    directory
        A new or empty directory.
    identity
        The file that `nirantar init` wrote.
    vault
        The vault's URI; several are tried in turn for each object.
    serve
        Serve from the newest snapshot at once, until told to stop.
    resume
        Serve DIRECTORY, whose recovery was interrupted, and bring the rest. Needs no --vault.
    host
        Address to listen on; the configuration's by default.
    port
        Port to listen on; the configuration's by default.
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
    machine = RealHost()
    key = read_identity(machine, identity)
    if resume:
        _require(vault is None and at is None and node is None, "--resume goes on as it began: give only --identity.")
        with terminal.progress("Bringing the view forward") as folding:
            resumed = Node(machine, directory.absolute(), progress=folding, identity=key)
        serve_until_told(resumed, host, port)
        return
    _require(bool(vault), "Recovery needs --vault, the URI of at least one vault.")
    _require(not (serve and at), "--at looks back by a full replay: recover without --serve, then serve.")
    uris = vault or []
    for uri in uris:
        require_apart(directory.absolute(), uri)
    vaults = [open_vault(machine, uri) for uri in uris]
    with terminal.progress("Reading the vault") as reading, terminal.progress("Folding") as folding:
        witnesses = Witnesses(
            [open_vault(machine, uri) for uri in keeper or ()],
            [CosignatureVerifier.parse(each.strip()) for each in witness or ()],
        )
        if serve:
            report = recover_instantly(
                machine, vaults, uris, key, directory.absolute(), node=node, durability=durability, reading=reading,
                folding=folding, witnesses=witnesses,
            )
        else:
            report = recover_node(
                machine, vaults, uris, key, directory.absolute(), node=node, at=at, durability=durability,
                reading=reading, folding=folding, witnesses=witnesses,
            )
    if json:
        terminal.print_json(report)
    else:
        _print(report, directory)
        if note := credentials_note(directory.absolute(), uris):
            terminal.note(note)
    if serve:
        with terminal.progress("Bringing the view forward") as folding:
            made = Node(machine, directory.absolute(), progress=folding, identity=key)
        serve_until_told(made, host, port)
    elif not report.ok:
        raise SystemExit(terminal.EXIT_DAMAGE)


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise SetupError(sentence)


def _print(report: RecoveryReport, directory: Path) -> None:
    terminal.print_table(
        f"{report.hospital}, recovered from {', '.join(report.vaults)}",
        ("log", "entries", "proven by signature", "lost", "folded"),
        [
            (log.origin, f"{log.entries:,}", f"{log.proven:,}", f"{log.lost:,}", f"{log.folded:,}")
            for log in report.logs
        ],
    )
    if report.snapshot is not None:
        _print_opened(report, directory)
        return
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


def _print_opened(report: RecoveryReport, directory: Path) -> None:
    """What is there to say while the rest still comes."""
    terminal.print_facts("Opened", [
        ("snapshot", str(report.snapshot)),
        ("folded on top", terminal.counted(report.tail_entries, "later entry", "later entries")),
        ("time", f"{report.seconds_opening:.2f} s"),
        ("still coming", report.coming),
        ("new node", f"{report.node} in {directory}"),
    ])
    for finding in report.findings:
        terminal.bad(f"{finding.where}: {finding.what}")
