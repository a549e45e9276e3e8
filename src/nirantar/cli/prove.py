"""`nirantar prove`: one patient's chart with everything that proves it, for an auditor."""

from __future__ import annotations

import getpass
from pathlib import Path

from nirantar.app.proving import prove_chart
from nirantar.cli import terminal
from nirantar.errors import InvalidInput
from nirantar.host.real import RealHost


def prove(
    directory: Path,
    patient: str,
    /,
    *,
    out: Path | None = None,
    reason: str = "Proof for an auditor",
    url: str | None = None,
    json: bool = False,
) -> None:
    """Write one file that proves a patient's whole chart to an outsider. Works while the node serves.

    The file holds every current version's entry as it was logged, its place in the signed log, and the path that shows
    that the chart is complete. Treat it like the chart itself. That it was given out, by whom and why, is journalled
    before it is written. Check it anywhere with `nirantar verify-proof FILE`.

    Example: `nirantar prove /srv/hospital Patient/553249f1 --reason "Court order 12/2026" --out chart.zip`

    Parameters
    ----------
    directory
        A node made by `nirantar init` or `nirantar recover`.
    patient
        The patient: Patient/<id>.
    out
        The file to write; it must not be there yet. By default Patient-<id>.nirantar-proof.zip in this directory.
    reason
        For whom and why: journalled, and told in the file.
    url
        Where the node serves, if it does not say so itself, e.g. http://127.0.0.1:8080.
    json
        Report as one JSON object.
    """
    host = RealHost()
    kind, _, id = patient.partition("/")
    if kind != "Patient" or not id or len(id) > 64 or not all(each.isalnum() or each in "-." for each in id):
        raise InvalidInput("Name the patient as Patient/<id>.")
    path = (out or Path(f"Patient-{id}.nirantar-proof.zip")).absolute()
    if host.files.exists(path):
        raise InvalidInput(f"{path} is there already, and is not overwritten.")
    data = prove_chart(host, directory.absolute(), id, operator=getpass.getuser(), reason=reason, url=url)
    host.files.put_new(path, data)
    if json:
        terminal.print_json({"file": str(path), "bytes": len(data), "subject": patient})
    else:
        terminal.good(f"{path} proves {patient}. The disclosure is journalled.")
        terminal.note(f"Next: nirantar verify-proof {path} --authority KEY, with the key from hospital.json")
