"""A vault that was damaged or tampered with: recovery ends in service or in a clear error, and names what is wrong.

Whatever is done to a vault of three nodes' worth of segments, either every entry that it held is recovered, or the
report says that it is not all there and where.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from nirantar.app.founding import found_hospital, publish
from nirantar.app.recovering import recover
from nirantar.app.vaults import open_vault
from nirantar.app.verifying import verify_node, verify_vault
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.errors import NirantarError
from nirantar.fold.founding import FoundingDocument
from nirantar.journal.log import JOURNAL_FILE
from nirantar.journal.reader import JournalReader
from node_at_hand import Site, found_site, opened, write

SEGMENT_SIZES = (120, 160, 40)
ENTRIES = sum(SEGMENT_SIZES)
FLIPS = 60
SEED = 20_221_123
LIVE = "opd-1/live"
TILE = "opd-1/tile/0/000"


@dataclass(frozen=True)
class Template:
    """A sealed hospital, the journal's entries that its vault must give back, and another hospital's vault."""

    site: Site
    entries: list[bytes]
    other_vault: Path


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Three segments, the second of which completes a tile."""
    place = tmp_path_factory.mktemp("template")
    site = found_site(place)
    sealed(site)
    with JournalOf(site) as reader:
        entries = [data for _, data, _ in reader.entries(origin(site), 0, ENTRIES)]
    other = found_site(place / "other")
    sealed(other)
    return Template(site, entries, other.vault)


class JournalOf:
    """A reader of the site's journal for the length of a with block."""

    def __init__(self, site: Site, directory: Path | None = None) -> None:
        self._reader = JournalReader(site.host, (directory or site.directory) / JOURNAL_FILE)

    def __enter__(self) -> JournalReader:
        return self._reader

    def __exit__(self, *_: object) -> None:
        self._reader.close()


def origin(site: Site) -> str:
    """The node's log."""
    return "nirantar.fault-hospital/opd-1"


def sealed(site: Site) -> None:
    """Write and seal the segments."""
    first = 0
    with opened(site) as node:
        for size in SEGMENT_SIZES:
            write(node, *range(first, first + size))
            node.sealer.step()
            first += size


@pytest.fixture
def vault(template: Template, tmp_path: Path) -> Path:
    """A copy of the vault to damage, its files writable."""
    copy = Path(shutil.copytree(template.site.vault, tmp_path / "vault"))
    for path in copy.rglob("*"):
        path.chmod(0o750 if path.is_dir() else 0o640)
    return copy


@dataclass(frozen=True)
class Recovered:
    """What recovery and the vault's verification said; `entries` is what is there of the old log, None where lost."""

    error: str
    findings: tuple[str, ...]
    ok: bool
    entries: list[bytes | None]


def recovered(template: Template, vault: Path, identity: RecoveryIdentity | None = None) -> Recovered:
    """Recover from this vault alone; a clear error is an answer, anything else fails the test."""
    host, key = template.site.host, identity or template.site.identity
    uri, directory = vault.as_uri(), vault.with_name(f"new-{host.random_bytes(4).hex()}")
    try:
        verified = verify_vault(host, [open_vault(host, uri)], key)
        report = recover(host, [open_vault(host, uri)], [uri], key, directory)
    except NirantarError as error:
        return Recovered(f"{type(error).__name__}: {error}", (), False, [])
    assert verified.ok == report.ok, (verified.findings, report.findings)
    with JournalOf(template.site, directory) as reader:
        found = [data or None for _, data, _ in reader.entries(origin(template.site), 0, ENTRIES + 1)]
    return Recovered("", tuple(f"{each.where}: {each.what}" for each in report.findings), report.ok, found)


def segments(vault: Path) -> list[Path]:
    """The segments in the order of their entries."""
    return sorted((vault / LIVE).iterdir())


def flip(path: Path, offset: int) -> None:
    """Change one byte."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x55
    path.write_bytes(data)


def header_end(path: Path) -> int:
    """Where a segment's encrypted part begins."""
    return path.read_bytes().index(b"\n\n") + 2


def vouched(vault: Path) -> tuple[object, ...]:
    """What the founding document says and the identity or the roster vouches for: all but the hospital's name."""
    document = FoundingDocument.parse((vault / "hospital.json").read_bytes())
    return document.slug, document.recipients, document.authority


def swap(vault: Path) -> None:
    """Two segments under each other's names."""
    first, second, _ = segments(vault)
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)


def test_an_undamaged_vault_gives_everything(template: Template, vault: Path) -> None:
    """What the cases below are compared with: all of it, and nothing to say."""
    assert recovered(template, vault) == Recovered("", (), True, list(template.entries))


@pytest.mark.parametrize(
    ("damage", "named", "left"),
    [
        (lambda vault: flip(segments(vault)[0], 20), f"{LIVE}/000000000000-120.segment", 200),
        (lambda vault: flip(segments(vault)[1], header_end(segments(vault)[1]) + 300), f"{LIVE}/000000000120-160.segment", 160),
        (lambda vault: flip(segments(vault)[2], 300), f"{LIVE}/000000000280-40.segment", 280),
        (lambda vault: segments(vault)[1].write_bytes(segments(vault)[1].read_bytes()[:-1]), f"{LIVE}/000000000120-160.segment", 160),
        (lambda vault: segments(vault)[2].write_bytes(b""), f"{LIVE}/000000000280-40.segment", 280),
        (lambda vault: segments(vault)[0].unlink(), "entries 0 to 119", 200),
        (lambda vault: segments(vault)[1].unlink(), "entries 120 to", 160),
        (swap, f"{LIVE}/000000000000-120.segment", None),
    ],
    ids=["header", "ciphertext", "last header", "truncated", "emptied", "first deleted", "middle deleted", "swapped"],
)
def test_damage_to_segments_is_named(
    template: Template, vault: Path, damage: Callable[[Path], None], named: str, left: int | None
) -> None:
    """The report is not ok and names the segment or the range; what is there is unaltered and in its place, and
    everything around the loss is there, also where no vault knows the leaf hashes of what was lost."""
    damage(vault)
    found = recovered(template, vault)
    assert (found.error, found.ok) == ("", False)
    assert any(named in finding for finding in found.findings), found.findings
    assert all(data is None or data == template.entries[index] for index, data in enumerate(found.entries))
    assert sum(data is not None for data in found.entries) < ENTRIES
    if left is not None:
        assert sum(data is not None for data in found.entries) >= left


def test_a_recovered_node_goes_on_behind_a_gap(template: Template, vault: Path) -> None:
    """A young segment is deleted, and the tile with its hashes. The recovered node shows every patient whose entry is
    left, verifies itself up to that finding, opens again, writes and seals, and can be recovered in its turn."""
    segments(vault)[1].unlink()
    (vault / TILE).unlink()
    host, uri, directory = template.site.host, vault.as_uri(), vault.with_name("new")
    report = recover(host, [open_vault(host, uri)], [uri], template.site.identity, directory)
    (log,) = report.logs
    assert (log.entries, log.proven, log.lost, log.folded) == (ENTRIES, ENTRIES, 160, ENTRIES)
    assert report.resources["Patient"] == ENTRIES - 160
    verified = verify_node(host, directory)
    (finding,) = verified.findings
    assert (finding.kind, finding.where) == ("lost", f"{origin(template.site)} entries 120 to 279")
    with opened(template.site, directory) as node:
        write(node, ENTRIES)
        node.sealer.step()
        (status,) = node.status().vaults
        assert status.confirmed == 1
    again = recover(host, [open_vault(host, uri)], [uri], template.site.identity, vault.with_name("newer"))
    assert [each.lost for each in again.logs] == [160, 0]


def test_a_deleted_last_segment_is_a_shorter_hospital(template: Template, vault: Path) -> None:
    """The newest segment is gone without a trace: no vault can know of it. The report proves the rest, by size, which
    is what is compared with a witness."""
    segments(vault)[2].unlink()
    found = recovered(template, vault)
    assert found.entries == template.entries[:280]


def test_a_deleted_tile_costs_nothing_while_the_segments_are_there(template: Template, vault: Path) -> None:
    """Tiles only bridge lost segments."""
    (vault / TILE).unlink()
    assert recovered(template, vault) == Recovered("", (), True, list(template.entries))


def test_a_segment_of_another_hospital_is_not_taken(template: Template, vault: Path) -> None:
    """Same names, other keys and another recipient: named, and none of its entries is folded."""
    for mine, theirs in zip(segments(vault), segments(template.other_vault), strict=True):
        mine.write_bytes(theirs.read_bytes())
    found = recovered(template, vault)
    assert not found.ok
    assert found.error or found.findings
    assert [data for data in found.entries if data is not None] == []


def test_an_empty_vault_is_a_clear_error(template: Template, tmp_path: Path) -> None:
    """There is no hospital in it, and nothing is left in the directory."""
    (tmp_path / "vault").mkdir()
    found = recovered(template, tmp_path / "vault")
    assert found.error.startswith("NotFound")
    assert "holds no hospital" in found.error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vault"]


def test_a_wrong_identity_is_a_clear_error(template: Template, vault: Path) -> None:
    """Another hospital's identity, and one that has this authority but another age key."""
    _, other = found_hospital(template.site.host, "Fault Hospital", "opd-1", vaults=[], durability="node")
    assert recovered(template, vault, other).error.startswith("SetupError")
    half = RecoveryIdentity(other.age_identity, template.site.identity.authority)
    assert recovered(template, vault, half).error.startswith("IdentityWrong")
    assert sorted(path.name for path in vault.parent.iterdir() if path.name != "vault") == []


@pytest.mark.parametrize("place", [0, 30, 60, -10])
def test_a_tampered_roster_is_a_clear_error(template: Template, vault: Path, place: int) -> None:
    """One byte of the only roster: no node's name or key is believed without the authority's signature."""
    flip(vault / "roster" / "00000001.note", place)
    assert recovered(template, vault).error.startswith(("ProofInvalid", "NotFound"))


def test_a_roster_of_another_authority_is_a_clear_error(template: Template, vault: Path) -> None:
    """A later roster that a stranger signed is not followed, and it is told."""
    shutil.copy(template.other_vault / "roster" / "00000001.note", vault / "roster" / "00000003.note")
    found = recovered(template, vault)
    assert (found.ok, found.entries) == (False, template.entries)
    assert any("roster/00000003.note" in finding for finding in found.findings), found.findings


def test_any_flipped_byte_is_named_or_changes_nothing(template: Template, vault: Path) -> None:
    """Random bytes of random objects, one at a time: a clear error, or a finding, or the same hospital to the byte."""
    random = Random(SEED)
    papers = vouched(vault)
    named = 0
    for number in range(FLIPS):
        path = random.choice(sorted(each for each in vault.rglob("*") if each.is_file()))
        kept, offset = path.read_bytes(), random.randrange(path.stat().st_size)
        flip(path, offset)
        found = recovered(template, vault)
        where = f"seed={SEED} flip {number}: byte {offset} of {path.relative_to(vault)}"
        assert found.ok == (not found.findings and not found.error), where
        if found.ok:
            assert found.entries == template.entries, where
            assert vouched(vault) == papers, f"{where}: the papers were changed unnoticed"
        named += not found.ok
        path.write_bytes(kept)
        for roster in sorted((vault / "roster").iterdir())[1:]:
            roster.unlink()  # the one that a recovery publishes
    assert named > FLIPS // 2


def test_another_hospitals_vault_is_not_written_to(template: Template, vault: Path) -> None:
    """A node whose configuration names another hospital's vault refuses to start sealing there."""
    site = template.site
    before = sorted(path.name for path in vault.rglob("*"))
    founded, _ = found_hospital(site.host, "Fault Hospital", "opd-2", vaults=[], durability="node")
    with pytest.raises(NirantarError, match="belongs to another hospital"):
        publish(open_vault(site.host, vault.as_uri()), founded.document, founded.roster, founded.roster_note)
    assert sorted(path.name for path in vault.rglob("*")) == before
