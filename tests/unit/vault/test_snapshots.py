"""Reading snapshots: page by page out of one vault or several, with a sentence for whatever is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nirantar.errors import IdentityWrong, NotFound, SnapshotDamaged, VaultUnavailable
from nirantar.host.simulated import SimulatedHost
from nirantar.tlog.note import Signer
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.encryption import new_identity
from nirantar.vault.keys import MapKey, PackKey
from nirantar.vault.manifests import Manifest
from nirantar.vault.port import Vault
from nirantar.vault.snapshots import SnapshotPages, open_snapshot, open_with_keys, read_manifest, snapshot_serials
from snapshots_at_hand import IDENTITY, NODE, SIGNER, SLUG, SnapshotMaker, made, page

PAGES = 40


@pytest.fixture
def maker() -> Iterator[SnapshotMaker]:
    """Two snapshots in a vault: forty pages, then three of them changed and one more."""
    with SimulatedHost(seed=3) as host:
        maker = made(host)
        maker.write({number: page(number) for number in range(PAGES)}, PAGES)
        maker.write({number: page(number, 2) for number in (1, 17, 33, PAGES)}, PAGES + 1)
        yield maker


def manifest_of(maker: SnapshotMaker, serial: int, *vaults: Vault) -> Manifest:
    """Read a manifest back as recovery does."""
    return read_manifest(vaults or (maker.vault,), SIGNER.verifier, slug=SLUG, node=NODE, serial=serial)


def opened(maker: SnapshotMaker, serial: int, *vaults: Vault) -> SnapshotPages:
    """Open a snapshot with the recovery identity."""
    return open_snapshot(vaults or (maker.vault,), manifest_of(maker, serial, *vaults), [IDENTITY])


def whole(source: SnapshotPages) -> list[bytes]:
    """Every page, one fetch each."""
    return [source.fetch(number)[number] for number in range(source.page_count)]


class Counting:
    """A vault that counts the requests that reach it."""

    def __init__(self, vault: Vault) -> None:
        self.vault, self.gets = vault, 0
        self.location, self.warning = vault.location, vault.warning

    def put_new(self, key: str, data: bytes) -> None:
        self.vault.put_new(key, data)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.gets += 1
        return self.vault.get(key, start, length)

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        return self.vault.list(prefix, after=after)


def test_every_snapshot_gives_its_own_pages(maker: SnapshotMaker) -> None:
    """The newest has the changes, the older one is still what it was."""
    assert snapshot_serials([maker.vault], NODE) == [2, 1]
    assert whole(opened(maker, 2)) == maker.pages
    assert whole(opened(maker, 1)) == [page(number) for number in range(PAGES)]


def test_a_frame_comes_with_its_current_pages_only(maker: SnapshotMaker) -> None:
    """`frame_of` tells what `fetch` gives; a page that was replaced does not come with its old companions."""
    source = opened(maker, 2)
    assert source.frame_of(0) == tuple(number for number in range(16) if number != 1)
    assert source.frame_of(17) == (1, 17, 33, PAGES)
    for number in (0, 17):
        assert tuple(source.fetch(number)) == source.frame_of(number)
    assert (source.page_size, source.page_count) == (4096, PAGES + 1)
    with pytest.raises(IndexError):
        source.frame_of(PAGES + 1)


def test_many_pages_come_in_few_requests(maker: SnapshotMaker) -> None:
    """Frames that lie side by side are one request: the map, and one for each pack."""
    vault = Counting(maker.vault)
    source = open_snapshot([vault], manifest_of(maker, 2), [IDENTITY])
    found: dict[int, bytes] = {}
    for pages in source.fetch_many(range(source.page_count)):
        assert not found.keys() & pages.keys()
        found |= pages
    assert [found[number] for number in range(source.page_count)] == maker.pages
    assert vault.gets == 3


def test_kept_data_keys_open_without_the_identity(maker: SnapshotMaker) -> None:
    """After the first opening the keys are enough; others are refused in words."""
    manifest = manifest_of(maker, 2)
    keys = manifest.data_keys([IDENTITY])
    assert whole(open_with_keys([maker.vault], manifest, keys)) == maker.pages
    with pytest.raises(IdentityWrong, match="give the recovery identity again"):
        open_with_keys([maker.vault], manifest, {9: b"k" * 32})
    with pytest.raises(IdentityWrong):
        open_snapshot([maker.vault], manifest, [new_identity()[0]])


def test_a_manifest_is_taken_from_its_node_only(maker: SnapshotMaker) -> None:
    """Signed by another key, or of another hospital, node or serial: refused."""
    with pytest.raises(SnapshotDamaged, match="signature"):
        read_manifest([maker.vault], Signer(SIGNER.name, b"t" * 32).verifier, slug=SLUG, node=NODE, serial=1)
    with pytest.raises(SnapshotDamaged, match="another snapshot"):
        read_manifest([maker.vault], SIGNER.verifier, slug="town", node=NODE, serial=1)
    maker.vault.put_new("centre/snapshot/00000003.manifest", maker.vault.get("centre/snapshot/00000002.manifest"))
    with pytest.raises(SnapshotDamaged, match="another snapshot"):
        manifest_of(maker, 3)
    with pytest.raises(NotFound):
        manifest_of(maker, 4)


def test_another_vault_is_asked(maker: SnapshotMaker) -> None:
    """One vault lacks a pack, one has it damaged, one is not mounted: whichever has it gives it."""
    host, pack = maker.host, str(PackKey(NODE, maker.packs[1].name))
    damaged, lacking = (DirectoryVault.create(host, Path(f"/{name}")) for name in ("damaged", "lacking"))
    away = DirectoryVault(host, Path("/away"))
    for key in maker.vault.list(""):
        data = maker.vault.get(key)
        if key != pack:
            lacking.put_new(key, data)
        damaged.put_new(key, data if key != pack else bytes(len(data)))
    assert whole(opened(maker, 2, away, lacking, damaged, maker.vault)) == maker.pages
    with pytest.raises(SnapshotDamaged, match="altered"):
        opened(maker, 2, lacking, damaged).fetch(0)
    with pytest.raises(NotFound):
        opened(maker, 2, lacking).fetch(0)
    with pytest.raises(VaultUnavailable):
        opened(maker, 2, lacking, damaged, away).fetch(0)
    assert snapshot_serials([away, maker.vault], NODE) == [2, 1]
    with pytest.raises(VaultUnavailable):
        snapshot_serials([away], NODE)


def test_pages_of_another_hospital_do_not_open(maker: SnapshotMaker) -> None:
    """Its pack under our pack's name, even sealed with our data key, is not ours."""
    other = made(maker.host, "other", slug="town")
    other.write({number: page(number) for number in range(PAGES)}, PAGES)
    mixed = DirectoryVault.create(maker.host, Path("/mixed"))
    for key in maker.vault.list(""):
        theirs = key == str(PackKey(NODE, maker.packs[1].name))
        mixed.put_new(key, other.vault.get(str(PackKey(NODE, other.packs[1].name))) if theirs else maker.vault.get(key))
    with pytest.raises(SnapshotDamaged):
        opened(maker, 1, mixed).fetch(0)


def test_an_exchanged_map_is_seen(maker: SnapshotMaker) -> None:
    """The older map under the newer one's name does not have its hash."""
    old, new = (manifest_of(maker, serial).contents.map[0] for serial in (1, 2))
    mixed = DirectoryVault.create(maker.host, Path("/mixed"))
    for key in maker.vault.list(""):
        mixed.put_new(key, maker.vault.get(str(MapKey(NODE, old)) if key == str(MapKey(NODE, new)) else key))
    with pytest.raises(SnapshotDamaged, match="its name says"):
        opened(maker, 2, mixed).fetch(0)
