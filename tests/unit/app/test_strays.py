"""A node refuses to hold what opens its vault, in whatever form it lies in its directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nirantar.app.node import Node
from nirantar.app.sheets import recovery_sheet, share_sheet
from nirantar.app.strays import default_identity_path, strays
from nirantar.continuity import shares
from nirantar.continuity.identity import RehearsalIdentity
from nirantar.errors import SetupError
from nirantar.host.simulated import SimulatedHost
from simulated_site import NODE, Site, found_site


@pytest.fixture
def site() -> Iterator[Site]:
    """A hospital that was just founded."""
    with SimulatedHost(5) as host:
        yield found_site(host)


def secrets(site: Site) -> dict[str, bytes]:
    """Everything that may never lie on a node."""
    identity = site.identity
    share = shares.split(identity, "H", shares=2, threshold=2)[0]
    return {
        "recovery": identity.encode("H"), "sheet text": identity.sheet_text("H"),
        "age alone": identity.age_identity.lower().encode(), "authority alone": identity.authority.skey.encode(),
        "rehearsal": RehearsalIdentity(identity.age_identity, identity.verifier).encode("H"), "share": share.text,
        "sheet": recovery_sheet(identity, "H", printed_on="2026-01-01"),
        "share sheet": share_sheet(share, custodian="", call="", printed_on="2026-01-01"),
    }


@pytest.mark.parametrize("name", ["a.txt", "keys/zz", "attachments.txt", "attachments2/x", "zz/deep/er"])
def test_no_secret_is_overlooked(site: Site, name: str) -> None:
    """Each kind, wherever it lies; the node does not start with it, and the sentence names the file and no secret."""
    for kind, data in secrets(site).items():
        site.host.files.make_directory((NODE / name).parent)
        site.host.files.put_new(NODE / name, data)
        assert list(strays(site.host, NODE)) == [NODE / name], kind
        with pytest.raises(SetupError, match=name) as refused:
            Node(site.host, NODE)
        assert site.identity.age_identity not in str(refused.value)
        site.host.files.remove(NODE / name)
    Node(site.host, NODE).close()


def test_a_nodes_own_files_are_none(site: Site) -> None:
    """Its signing key, papers, databases and what only speaks of identities are no identity."""
    site.host.files.put_new(NODE / "notes.txt", b"The line that begins with AGE-SECRET-KEY-1 is secret.")
    Node(site.host, NODE).close()
    assert list(strays(site.host, NODE)) == []


def test_the_default_place_is_beside_the_node() -> None:
    """Not in it."""
    assert default_identity_path(Path("/srv/node")) == Path("/srv/node.recovery-identity")
