"""Where a version is safe: on this node, in a vault, and at which place of which log."""

from __future__ import annotations

from dataclasses import dataclass

from nirantar.interactions.doors import NodeStatus
from nirantar.interactions.results import StoredVersion


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """`in_vault` is true once a vault confirmed the entry. `note` explains what is not yet so, or came otherwise."""

    origin: str
    entry_index: int
    version_id: str
    in_vault: bool
    note: str
    warning: str


def whereabouts(version: StoredVersion, status: NodeStatus) -> Whereabouts:
    """Where `version` is safe, as the node knows it now."""
    warning = next((f"This vault is {each.warning}." for each in status.vaults if each.warning), "")
    if version.origin != status.origin:
        in_vault, note = True, "It came back from the vault, verified."
    elif not status.vaults:
        in_vault, note = False, "This node has no vault: what it holds is safe only as long as its disk."
    else:
        in_vault = any(each.confirmed > version.entry_index for each in status.vaults)
        trouble = next((each.trouble for each in status.vaults if each.trouble), None)
        waiting = f"The vault does not answer: {trouble}" if trouble else "Within about a second."
        note = "" if in_vault else waiting
    return Whereabouts(version.origin, version.entry_index, version.version_id, in_vault, note, warning)
