"""`nirantar custody`: what people do with the recovery identity, on a clean machine away from every node."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from cyclopts import App, Parameter

from nirantar import limits
from nirantar.app.ceremony import check_identity, name_rehearsal, write_identity
from nirantar.app.ceremony import rotate as rotate_identity
from nirantar.app.sheets import recovery_sheet, share_sheet
from nirantar.app.vaults import open_vault
from nirantar.cli import terminal
from nirantar.cli.identity_file import read_identity
from nirantar.continuity import shares as slip39
from nirantar.continuity.identity import RecoveryIdentity, hospital_in
from nirantar.errors import IdentityWrong, InvalidInput, LimitExceeded, SetupError
from nirantar.fold.founding import slug_of
from nirantar.host.port import Host
from nirantar.host.real import RealHost
from nirantar.host.times import instant

_FILE_TITLE: Final = "# Nirantar recovery identity of "

custody = App(
    name="custody",
    help="Print, try, split, join and change the recovery identity, on a clean machine that is no node.",
    help_format="markdown",
    default_parameter=Parameter(negative=""),
)


@custody.command
def sheet(*, identity: Path, out: Path) -> None:
    """Make the recovery identity's sheet: one A4 page in a single HTML file, as QR code and as rows to type.

    Open it in a browser on this machine, print it, and delete it.

    Parameters
    ----------
    identity
        The recovery identity's file.
    out
        The new file, for example `sheet.html`.
    """
    host = RealHost()
    key, name = _recovery_identity(host, identity)
    write_identity(host, out.absolute(), recovery_sheet(key, name, printed_on=_today(host)))
    terminal.good(f"{out} is the sheet. Print it, delete it here, and try it: nirantar custody check FILE --vault URI")


@custody.command
def check(*files: Path, vault: list[str], hospital: str = "", json: bool = False) -> None:
    """Prove that what was read back from paper opens the vault, and record that it was tried once.

    FILE holds the text of the sheet's QR code, the sheet's rows as somebody typed them, or shares (in one file or in
    several); without FILE it is read from standard input. It must derive the hospital's authority and
    decrypt something of the vault; then a signed note goes into the vault, and nodes that see it stop being red.

    Parameters
    ----------
    files
        What was read back.
    vault
        The vault's URI; may be repeated.
    hospital
        The hospital's name, for shares whose text does not name it.
    json
        Report as one JSON object.
    """
    host = RealHost()
    texts = _read(host, files)
    if any(text.lstrip("\ufeff").startswith(_FILE_TITLE) for text in texts):
        raise InvalidInput(
            "This is the identity's own file. What is to be tried is the paper: scan or type the sheet, or the shares."
        )
    identity = _from_paper(texts, hospital)
    report = check_identity(host, [open_vault(host, uri) for uri in vault], identity)
    if json:
        terminal.print_json(report)
        return
    terminal.good(f"It is the recovery identity of {report.hospital}, and it opens the vault.")
    terminal.print_facts("Proved", [
        ("authority", f"key {report.authority}"),
        ("sealed to", report.recipient),
        *(("opened", each) for each in report.opened),
        ("first read back", report.read_back),
    ])
    if report.first_time:
        terminal.note("It is on record; nodes see it within a minute of work. Delete what you typed or scanned.")


@custody.command
def split(
    *,
    identity: Path,
    out: Path,
    shares: int = 5,
    threshold: int = 3,
    custodian: list[str] | None = None,
    call: str = "",
    json: bool = False,
) -> None:
    """Split the recovery identity among custodians (SLIP-39): any THRESHOLD of the SHARES together give it back, fewer
    give nothing.

    Makes `share-N.html` to print and `share-N.txt` with the same words for each custodian. Hand them out, delete them
    here, and destroy the whole identity only once the shares were tried: `nirantar custody check`.

    Parameters
    ----------
    identity
        The recovery identity's file.
    out
        A new directory for the sheets.
    shares
        How many shares, 16 at most.
    threshold
        How many must come together, at least 2.
    custodian
        A custodian's name for the next sheet; repeat it for each share, or leave them all out and write by hand.
    call
        Whom a custodian calls, for example "IT desk, 011-5550-0100".
    json
        Report as one JSON object.
    """
    host, out = RealHost(), out.absolute()
    key, name = _recovery_identity(host, identity)
    made = slip39.split(key, name, shares=shares, threshold=threshold)
    names = custodian or [""] * shares
    if len(names) != shares:
        named = terminal.counted(len(names), "custodian is", "custodians are")
        raise InvalidInput(f"{named} named for {shares} shares: name all, or leave them out and write by hand.")
    if next(host.files.walk(out), None) is not None:
        raise SetupError(f"{out} is not empty. Choose a new directory for the shares.")
    host.files.make_directory(out)
    for share, one in zip(made, names, strict=True):
        page = share_sheet(share, custodian=one, call=call, printed_on=_today(host))
        write_identity(host, out / f"share-{share.number}.html", page)
        write_identity(host, out / f"share-{share.number}.txt", share.text)
    if json:
        authority = key.authority.key_id.hex()
        terminal.print_json(
            {"directory": str(out), "shares": shares, "threshold": threshold, "authority": authority}
        )
        return
    terminal.good(f"{shares} shares of {name} are in {out}; any {threshold} together make its recovery identity.")
    terminal.note("Print each, hand it out, delete it here, and try them together: nirantar custody check")


@custody.command
def combine(*files: Path, out: Path, hospital: str = "", json: bool = False) -> None:
    """Join shares to the recovery identity's file, which `nirantar recover` takes.

    FILE holds one share or several with an empty line between them, as scanned or as typed; numbers between the words
    do no harm, and the first four letters of a word are enough. Without FILE, standard input is read.

    Parameters
    ----------
    files
        The shares, in any order.
    out
        The new file for the identity.
    hospital
        The hospital's name as the sheets print it, for shares whose text does not name it.
    json
        Report as one JSON object.
    """
    host, out = RealHost(), out.absolute()
    texts = _read(host, files)
    identity = slip39.combine(texts, slug=slug_of(hospital) if hospital else "")
    name = hospital or _hospital_of_shares(texts) or identity.authority.name.split(".", 1)[-1].rpartition("/")[0]
    write_identity(host, out, identity.encode(name))
    again = RecoveryIdentity.parse(host.files.read(out))
    if (again.recipient, again.verifier.vkey) != (identity.recipient, identity.verifier.vkey):
        raise IdentityWrong(f"{out} does not hold what was written: is the disk sound?")
    if json:
        terminal.print_json({
            "identity": str(out), "authority": identity.authority.key_id.hex(), "recipient": identity.recipient,
        })
        return
    terminal.good(f"{out} is the recovery identity of {name}.")
    terminal.print_facts("Compare with the sheets", [
        ("authority", f"key {identity.authority.key_id.hex()}"), ("sealed to", identity.recipient),
    ])
    terminal.note(f"Next: nirantar recover DIR --vault URI --identity {out}. Delete it when the hospital is back.")


@custody.command
def rotate(*, identity: Path, out: Path, vault: list[str], json: bool = False) -> None:
    """Put a new recovery identity in the old one's place: both its keys are new, for everything sealed from now on.

    Nodes take it within a minute of work, or when they start. The new one opens what was sealed before, too: there is
    one thing to keep. But what the old one could open, it opens for ever: whoever has a copy of it and of the vault
    reads that.

    Parameters
    ----------
    identity
        The recovery identity that is in force.
    out
        The new file for the new one.
    vault
        Every vault of the hospital; all must be reachable.
    json
        Report as one JSON object.
    """
    host, out = RealHost(), out.absolute()
    report = rotate_identity(host, [open_vault(host, uri) for uri in vault], read_identity(host, identity), out)
    if json:
        terminal.print_json(report)
        return
    terminal.good(f"{out} is the recovery identity of {report.hospital} now.")
    terminal.print_facts("New", [
        ("sealed to", report.recipient), ("custody note", str(report.serial)),
        ("also opens", f"what {terminal.counted(report.earlier, 'earlier identity', 'earlier identities')} opened"),
    ])
    terminal.note(f"Next: nirantar custody sheet --identity {out} --out sheet.html, or split; then custody check.")
    if report.rehearsal_kept:
        terminal.caution("The rehearsal identity stays. Make a new one if its machine may be the leak.")


@custody.command(name="rehearsal-identity")
def rehearsal_identity(*, identity: Path, out: Path, vault: list[str], json: bool = False) -> None:
    """Make a rehearsal identity for the isolated machine that rehearses recovery; it replaces an earlier one.

    Nodes seal everything to it too, within a minute of work or when they start. It opens that and nothing older, and
    cannot name nodes.

    Parameters
    ----------
    identity
        The recovery identity that is in force.
    out
        The new file for the rehearsal identity.
    vault
        Every vault of the hospital; all must be reachable.
    json
        Report as one JSON object.
    """
    host, out = RealHost(), out.absolute()
    made = name_rehearsal(host, [open_vault(host, uri) for uri in vault], read_identity(host, identity), out)
    if json:
        terminal.print_json({"identity": str(out), "recipient": made.terms.rehearsal, "serial": made.serial})
        return
    terminal.good(f"{out} is the rehearsal identity. Take it to the machine that rehearses, and delete it here.")


def _recovery_identity(host: Host, path: Path) -> tuple[RecoveryIdentity, str]:
    """The identity in a file, and the hospital's name as the file gives it, else its slug."""
    identity = read_identity(host, path)
    name = hospital_in(host.files.read(path.absolute()))
    return identity, name or identity.authority.name.split(".", 1)[-1].rpartition("/")[0]


def _from_paper(texts: list[str], hospital: str) -> RecoveryIdentity:
    if slip39.are_shares(texts[0]):
        return slip39.combine(texts, slug=slug_of(hospital) if hospital else "")
    if len(texts) > 1:
        raise InvalidInput("A sheet is one text; only shares come as several.")
    return RecoveryIdentity.parse(texts[0].encode())


def _hospital_of_shares(texts: list[str]) -> str:
    """The hospital's name in the title of the first share that has one: `... share 2 of 5 of NAME. Any ...`."""
    for text in texts:
        for line in text.splitlines():
            if line.startswith(slip39.SHARE_TITLE):
                return line.split(" of ", 2)[2].rpartition(". Any ")[0]
    return ""


def _read(host: Host, files: tuple[Path, ...]) -> list[str]:
    """The texts of files, or of standard input. Raises IdentityWrong naming the file that is not there."""
    most = limits.CUSTODY_TEXT_BYTES_MAX
    found: list[tuple[str, bytes]] = []
    if not files:
        if sys.stdin.isatty():
            terminal.err.print("Type it, then Ctrl-D on an empty line.")
        found.append(("Standard input", sys.stdin.buffer.read(most + 1)))
    for path in files:
        try:
            found.append((str(path), host.files.read(path.absolute(), 0, most + 1)))
        except FileNotFoundError:
            raise IdentityWrong(f"There is no file {path}.") from None
    for name, data in found:
        if len(data) > most:
            raise LimitExceeded(f"{name} is longer than CUSTODY_TEXT_BYTES_MAX = {most} bytes.")
    return [data.decode("utf-8", "replace") for _, data in found]


def _today(host: Host) -> str:
    return instant(host.now_us())[:10]
