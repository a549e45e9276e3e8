"""`nirantar rehearse`: prove on an isolated machine that the hospital can be restored."""

from __future__ import annotations

from pathlib import Path

from nirantar.app.rehearsing import KEY_FILE
from nirantar.app.rehearsing import rehearse as rehearse_recovery
from nirantar.app.vaults import open_vault, require_apart
from nirantar.cli import terminal
from nirantar.cli.identity_file import read_either_identity
from nirantar.continuity.certificate import sentences
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.errors import InvalidInput
from nirantar.host.real import RealHost
from nirantar.limits import REHEARSAL_REGISTRATIONS


def rehearse(
    *,
    vault: list[str],
    identity: Path,
    work: Path,
    certificate_out: Path | None = None,
    registrations: int = REHEARSAL_REGISTRATIONS,
    custodian_minutes: float | None = None,
    json: bool = False,
) -> None:
    """Restore the hospital from its vault on this isolated machine, verify everything, work on it, and certify it.

    Nothing is published but the certificate, and no node is bound by it: what is restored lies below the work directory
    and is deleted at the end. Every entry is decrypted and hashed, every new segment opened, the newest snapshot put
    together and compared with what the log states, and an hour of peak work replayed. Exit code 1 means that the
    restore is not proven: the certificate says so and names what was found.

    Example: `nirantar rehearse --vault s3://... --identity rehearsal-identity --work /var/lib/nirantar-rehearsal`

    Parameters
    ----------
    vault
        The vault's URI; several are tried in turn for each object, and each gets the certificate.
    identity
        The file of `nirantar custody rehearsal-identity`.
    work
        A directory of this machine: it keeps the machine's key, and needs room for the whole hospital while it runs.
    certificate_out
        A new file for the signed certificate, besides the copies in the vaults.
    registrations
        How many registrations are replayed: by default those of a peak hour. 0 leaves them out.
    custodian_minutes
        How long it took to have the key in hand, where a ceremony was rehearsed: stated apart in the certificate.
    json
        Report as one JSON object: the certificate, and more.
    """
    host, work = RealHost(), work.absolute()
    key = read_either_identity(host, identity)
    for uri in vault:
        require_apart(work, uri)
    if certificate_out is not None and host.files.exists(certificate_out.absolute()):
        raise InvalidInput(f"{certificate_out} is there already, and is not overwritten.")
    if isinstance(key, RecoveryIdentity):
        terminal.err.print(
            "! This is the recovery identity: it can name nodes, and belongs on paper. Rehearse with the rehearsal "
            "identity: nirantar custody rehearsal-identity."
        )
    with terminal.progress("Reading the vault") as reading, terminal.progress("Folding") as folding:
        done = rehearse_recovery(
            host, [open_vault(host, uri) for uri in vault], key, work, registrations=registrations,
            custodian_minutes=custodian_minutes, reading=reading, folding=folding,
        )
    certificate = done.certificate
    if certificate_out is not None:
        host.files.put_new(certificate_out.absolute(), done.note, mode=0o640)
    if json:
        terminal.print_json({"certificate": certificate, "vaults_without_it": done.vaults_without_it})
    else:
        for sentence in sentences(certificate):
            terminal.note(sentence)
        for lacking in done.vaults_without_it:
            terminal.caution(f"A vault did not take the certificate: {lacking}")
        if certificate.proven:
            terminal.good("Proven: the hospital can be restored.")
        else:
            terminal.bad("Not proven. What is named above must be looked at now.")
        terminal.note(f'This machine signs with {work / KEY_FILE}. In each node\'s nirantar.toml:')
        terminal.note(f'rehearsal_verifier = "{certificate.machine}"')
    if not certificate.proven:
        raise SystemExit(terminal.EXIT_DAMAGE)
