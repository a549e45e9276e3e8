"""The vault that benchmarks read: made at once, and as good as one that a node has sealed."""

from __future__ import annotations

from pathlib import Path

from nirantar.app.bench.sealed_vault import make_vault
from nirantar.app.recovering import recover
from nirantar.app.vaults import open_vault
from nirantar.app.verifying import verify_vault
from nirantar.host.simulated import SimulatedHost


def test_a_vault_made_at_once_verifies_and_recovers() -> None:
    """Every entry is proven, read and folded: what is measured on it is measured on whole work."""
    with SimulatedHost(1) as host:
        sealed = make_vault(host, Path("/vault"), 40_000)
        assert sealed.json_bytes >= 40_000
        vault = open_vault(host, sealed.uri)
        report = verify_vault(host, [vault], sealed.identity)
        assert (report.ok, report.entries, report.resources) == (True, len(sealed.entries), 3 * len(sealed.entries))
        recovered = recover(host, [vault], [sealed.uri], sealed.identity, Path("/new"))
    assert recovered.ok
    assert recovered.resources["Patient"] == len(sealed.entries)
