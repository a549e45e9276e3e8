"""`nirantar init`: open a hospital."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nirantar.app.founding import found_hospital, publish, require_empty, require_no_hospital, write_directory
from nirantar.app.service import systemd_unit
from nirantar.app.strays import default_identity_path
from nirantar.app.vaults import begins_by_itself, credentials_note, open_vault, require_apart
from nirantar.cli import terminal
from nirantar.errors import InvalidInput, SetupError
from nirantar.host.real import RealHost
from nirantar.vault.port import Vault


def init(
    directory: Path,
    /,
    *,
    hospital: str,
    node: str,
    vault: list[str],
    identity_out: Path | None = None,
    durability: Literal["node", "vault"] = "node",
    systemd_unit_out: Path | None = None,
    json: bool = False,
) -> None:
    """Make a hospital's first node: its keys, its vault, and the recovery identity.

    The recovery identity opens the vault after everything else is lost. It is never kept in the node's directory:
    print the file, keep it away from every networked machine, and delete it here.

    Example: `nirantar init /srv/nirantar --hospital "City Hospital" --node centre --vault file:///mnt/vault`

    Parameters
    ----------
    directory
        A new or empty directory for the node.
    hospital
        The hospital's name, as pages and slips show it.
    node
        This node's name: lower-case letters, digits, hyphens. It can never be changed.
    vault
        Where sealed copies go: `file:///absolute/path`, `s3://BUCKET/PREFIX?endpoint=https://HOST&region=NAME`, or
        `keeper+https://HOST:PORT?token-file=/path`. May be repeated.
    identity_out
        Where to write the recovery identity; by default `<directory>.recovery-identity` beside the node.
    durability
        What a write waits for: `node` (this disk) or `vault` (a vault, too).
    systemd_unit_out
        Also write a hardened systemd unit to this file.
    json
        Report as one JSON object.
    """
    host, directory = RealHost(), directory.absolute()
    identity_path = (identity_out or default_identity_path(directory)).absolute()
    _require_places(host, directory, identity_path, vault, systemd_unit_out)
    founded, identity = found_hospital(host, hospital, node, vaults=vault, durability=durability)
    # What can be refused is refused before anything is written: a vault that was begun can never be begun again.
    for uri in vault:
        place = open_vault(host, uri)
        require_no_hospital(place)
        place.require_protection()
    host.files.make_directory(directory)
    host.files.make_directory(identity_path.parent)
    vaults = [open_vault(host, uri, create=True) for uri in vault]
    host.files.put_new(identity_path, identity.encode(founded.document.name), mode=0o400)
    for each in [each for uri, each in zip(vault, vaults, strict=True) if begins_by_itself(uri)]:
        publish(each, founded.document, founded.roster, founded.roster_note, founded.custody)
    write_directory(host, directory, founded)
    if systemd_unit_out is not None:
        host.files.put_new(systemd_unit_out.absolute(), systemd_unit(directory), mode=0o644)
    if json:
        terminal.print_json({
            "directory": str(directory), "hospital": founded.document.name, "node": node,
            "origin": founded.signer.name, "identity": str(identity_path),
            "authority": founded.document.authority,
            "vaults": [{"location": each.location, "warning": each.warning} for each in vaults],
        })
        return
    terminal.good(f"{founded.document.name} is open. Its first node is {node}, in {directory}.")
    terminal.print_facts("Keep", [
        ("recovery identity", f"{identity_path}  → print it, take it away from this machine, delete it here"),
        ("settings", f"{directory}/nirantar.toml"),
    ])
    _caution(vault, vaults, founded.document.authority)
    if note := credentials_note(directory, vault):
        terminal.note(note)
    terminal.print_facts("Next", [
        ("1", f"nirantar staff {directory} LOGIN --role it-security --name NAME     the first account"),
        ("2", f"nirantar serve {directory}"),
        ("3", f"nirantar custody sheet --identity {identity_path} --out sheet.html     then print it"),
        ("4", f"nirantar custody check FILE --vault {vault[0]}     what was read back from it"),
        ("5", f"nirantar doctor {directory}"),
    ])


def _caution(uris: list[str], vaults: list[Vault], authority: str) -> None:
    """What the vaults do not protect against, and how a keeper among them is set up."""
    for each in vaults:
        if each.warning:
            terminal.caution(f"Vault {each.location} is {each.warning}.")
    if not all(map(begins_by_itself, uris)):
        terminal.caution(f"Set the keeper up with: nirantar keeper init DIR --authority {authority}")


def _require_places(
    host: RealHost, directory: Path, identity_path: Path, vaults: list[str], systemd_unit_out: Path | None
) -> None:
    """Refuse what cannot be where it was asked for, before anything is made. Raises SetupError and its kin."""
    if directory == identity_path.parent or directory in identity_path.parents:
        raise SetupError("The recovery identity must not lie in the node's directory: whoever steals one has both.")
    require_empty(host, directory)
    for uri in vaults:
        require_apart(directory, uri)
        require_apart(identity_path, uri)
    if len(set(vaults)) < len(vaults):
        raise InvalidInput("The same vault is named twice: two copies on one disk are one copy.")
    if host.files.exists(identity_path):
        raise SetupError(f"{identity_path} exists already; a recovery identity is never overwritten.")
    if systemd_unit_out is not None and host.files.exists(systemd_unit_out.absolute()):
        raise SetupError(f"{systemd_unit_out} exists already: move it away, or name another file.")
