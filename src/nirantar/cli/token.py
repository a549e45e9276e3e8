"""`nirantar token`: a bearer token for a system or a script."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from nirantar import limits
from nirantar.app.node import read_papers
from nirantar.cli import terminal
from nirantar.host.real import RealHost
from nirantar.interactions.authorize import ROLES
from nirantar.interactions.credentials import CREDENTIALS_FILE, Credentials


def token(directory: Path, /, *, role: str, name: str, json: bool = False) -> None:
    """Issue a bearer token for the FHIR interface. Works while the node serves.

    The token is the last word printed; it is shown once and kept only as a hash. Tokens end with the node: a recovered
    node needs new ones, since the old ones may be stolen.

    Example: `curl -H "Authorization: Bearer $(nirantar token DIR --role doctor --name app | tail -1)" ...`

    Parameters
    ----------
    directory
        A node made by `nirantar init`.
    role
        registration-clerk, doctor, nurse, lab-technician, pathologist, pharmacist, cashier, mrd-officer, it-security,
        auditor or integration.
    name
        Who or what will use it; the audit names it.
    json
        Report as one JSON object.
    """
    host, directory = RealHost(), directory.absolute()
    read_papers(host, directory)
    with closing(Credentials(host, directory / CREDENTIALS_FILE)) as credentials:
        secret = credentials.issue_token(role, name)
    if json:
        terminal.print_json({"role": role, "name": name, "days": limits.TOKEN_DAYS, "token": secret})
        return
    terminal.note(f"Token for {name} as {ROLES[role].title}, valid {limits.TOKEN_DAYS} days:")
    print(secret)
