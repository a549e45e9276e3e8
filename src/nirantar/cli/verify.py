"""`nirantar verify`: is everything there, unchanged, and provably so?"""

from __future__ import annotations

from pathlib import Path

from nirantar.app.vaults import open_vault
from nirantar.app.verifying import VerifyReport, verify_node, verify_vault
from nirantar.cli import terminal
from nirantar.cli.identity_file import read_either_identity
from nirantar.errors import InvalidInput
from nirantar.host.real import RealHost
from nirantar.tlog.cosignature import CosignatureVerifier


def verify(
    directory: Path | None = None,
    /,
    *,
    vault: list[str] | None = None,
    identity: Path | None = None,
    witness: list[str] | None = None,
    heal: bool = False,
    json: bool = False,
) -> None:
    """Verify the node in DIRECTORY, or a vault with the recovery identity. Trusts no stored hash or counter.

    Of a node: every entry is hashed again, the tree rebuilt, every signature checked, the access log's chain followed,
    and the view compared row by row with one freshly folded. The node may be serving. Of a vault: every segment is
    decrypted, hashed and compared with what the nodes signed. Exit code 1 when anything is wrong.

    Parameters
    ----------
    directory
        A node made by `nirantar init`.
    vault
        A vault's URI instead of a directory; may be repeated.
    identity
        The recovery identity's file, for a vault; or the rehearsal identity's, for what was sealed since it was named.
    witness
        With --vault, a keeper's verification key; may be repeated. One of them must say how far each log had come.
        Keepers among the vaults are asked anyway.
    heal
        Replace a damaged view by the fresh one; the node must not be serving.
    json
        Report as one JSON object: `entries, resources, ok, findings` and more.
    """
    host = RealHost()
    pinned = [CosignatureVerifier.parse(each.strip()) for each in witness or ()]
    if (directory is None) == (not vault):
        raise InvalidInput("Name a node's directory, or a vault with --vault and --identity.")
    if pinned and directory is not None:
        raise InvalidInput("--witness is for a vault: a node asks its keepers by itself when it starts.")
    with terminal.progress("Hashing") as hashing, terminal.progress("Folding") as folding:
        if directory is not None:
            report = verify_node(host, directory.absolute(), heal=heal, hashing=hashing, folding=folding)
        elif identity is None or vault is None:
            raise InvalidInput("A vault can only be opened with --identity FILE.")
        else:
            vaults = [open_vault(host, uri) for uri in vault]
            report = verify_vault(host, vaults, read_either_identity(host, identity), pinned=pinned, progress=hashing)
    if json:
        terminal.print_json(report)
    else:
        _print(report)
    if not report.ok:
        raise SystemExit(terminal.EXIT_DAMAGE)


def _print(report: VerifyReport) -> None:
    kept = terminal.counted(report.unfolded, "entry", "entries")
    terminal.print_facts(report.what, [
        ("entries", f"{report.entries:,} hashed again and compared with what was signed"),
        ("resources", terminal.counted(report.resources, "version")),
        *((origin, terminal.counted(entries, "entry", "entries")) for origin, entries in report.logs.items()),
        *([("view digest", report.view_digest)] if report.view_digest else []),
        *([("kept, not folded", f"{kept} outside a grant or of a newer format")] if report.unfolded else []),
        ("time", f"{report.seconds:.2f} s"),
    ])
    for finding in report.findings:
        say = terminal.caution if finding.healed else terminal.bad
        say(f"{finding.where}: {finding.what}{' (healed)' if finding.healed else ''}")
    if report.ok:
        terminal.good("Whole and unaltered." if not report.findings else "Healed: whole and unaltered now.")
    else:
        told = terminal.counted(len(report.findings), "finding")
        terminal.bad(f"{told}. What is not named is whole and unaltered.")
