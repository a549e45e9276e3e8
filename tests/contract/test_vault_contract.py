"""What the port `Vault` promises, on every backend and on every host that it can stand on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from keeper_at_hand import uri_with_token
from keeper_in_threads import served
from nirantar.app.bench.object_store import ObjectStore, object_store
from nirantar.app.keeping import KeeperHouse, set_up_keeper
from nirantar.continuity.keeping.admission import Admission, Admitted
from nirantar.continuity.keeping.rules import Bearer
from nirantar.errors import Conflict, InvalidInput, NotFound, VaultUnavailable
from nirantar.host.real import RealHost
from nirantar.host.simulated import SimulatedHost
from nirantar.tlog.note import Signer
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.keeper import KeeperAddress, KeeperVault
from nirantar.vault.port import Vault
from nirantar.vault.s3 import S3Vault
from s3_at_hand import vault_at

KEYS = [
    "hospital.json",
    "opd-1/live/000000000000-3.segment",
    "opd-1/live/000000000003-1.segment",
    "opd-1/live/000000000004-12.segment",
    "opd-1/tile/0/000",
    "opd-1/tile/0/x001/x234/067",
    "opd-10/live/000000000000-1.segment",
    "opd/live/000000000000-1.segment",
    "roster/00000001.note",
]


@pytest.fixture(params=["directory", "simulated_directory", "keeper", "s3"])
def vault(request: pytest.FixtureRequest) -> Vault:
    """Each backend in turn, empty: a fixture each."""
    found: Vault = request.getfixturevalue(f"{request.param}_vault")
    return found


@pytest.fixture
def directory_vault(tmp_path: Path) -> Vault:
    """A directory on the real host."""
    return DirectoryVault.create(RealHost(), tmp_path / "vault")


@pytest.fixture
def simulated_directory_vault() -> Iterator[Vault]:
    """A directory on the simulated host."""
    with SimulatedHost(seed=1) as host:
        yield DirectoryVault.create(host, Path("/vault"))


class _Anything(Admission):
    """Takes every object under every key, as the port's own rules allow; what fits a log is tested elsewhere."""

    def admit(self, _key: str, _data: bytes) -> Admitted:
        """Nothing is asked of an object."""
        return Admitted()


class _Anybody:
    """Lets every bearer put and read everything."""

    def require_put(self, bearer: Bearer, key: str, size: int) -> None:
        """Nothing is refused."""

    def require_get(self, bearer: Bearer, key: str) -> None:
        """Nothing is refused."""


@pytest.fixture
def keeper_vault(tmp_path: Path) -> Iterator[Vault]:
    """The client of a keeper, over HTTP, that stores whatever it is given."""
    host = RealHost()
    set_up_keeper(host, tmp_path / "keeper", Signer("nirantar.x/authority", bytes(32)).vkey, "keeper-1")
    house = KeeperHouse(host, tmp_path / "keeper")
    keeper = house.keeper
    keeper._rules, keeper._admission = _Anybody(), _Anything(keeper._vault, keeper._register, keeper._records)
    with served(keeper) as port:
        uri, _ = uri_with_token(host, tmp_path / "keeper", port, "node", "opd-1")
        yield KeeperVault(host, KeeperAddress.parse(uri))
    house.close()


BUCKET = "contract"
_prefixes = itertools.count()


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    """A real S3 server with one locked bucket, in which the node's login may only add and read."""
    with object_store() as running:
        running.make_bucket(BUCKET)
        yield running


@pytest.fixture
def s3_vault(store: ObjectStore) -> Vault:
    """A prefix of its own in that bucket."""
    return vault_at(store, BUCKET, f"test-{next(_prefixes)}")


@pytest.fixture
def filled(vault: Vault) -> Vault:
    """A vault that holds KEYS, stored in another order."""
    for key in reversed(KEYS):
        vault.put_new(key, key.encode())
    return vault


def test_an_object_comes_back(vault: Vault) -> None:
    """What is stored is what is read, empty objects included."""
    vault.put_new("a/b/c", b"bytes")
    vault.put_new("a/empty", b"")
    assert vault.get("a/b/c") == b"bytes"
    assert vault.get("a/empty") == b""


@pytest.mark.parametrize(
    ("start", "length", "expected"), [(2, 3, b"234"), (8, 9, b"89"), (10, 1, b""), (4, None, b"456789")]
)
def test_ranges(vault: Vault, start: int, length: int | None, expected: bytes) -> None:
    """Ranges stop at the end of the object."""
    vault.put_new("a", b"0123456789")
    assert vault.get("a", start, length) == expected


def test_the_same_bytes_again_are_no_error(vault: Vault) -> None:
    """A node that died after storing and before noting it may store again."""
    vault.put_new("a", b"one")
    vault.put_new("a", b"one")
    assert list(vault.list("")) == ["a"]


def test_other_bytes_under_a_key_are_refused(vault: Vault) -> None:
    """Invariant 10: a key once written keeps its bytes, whether the new ones are longer, shorter or a prefix."""
    vault.put_new("a", b"one")
    for other in (b"two", b"on", b"", b"one "):
        with pytest.raises(Conflict):
            vault.put_new("a", other)
    assert vault.get("a") == b"one"


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a", "a/b/c")])
def test_a_key_cannot_be_a_directory_too(vault: Vault, first: str, second: str) -> None:
    """An object and a directory of one name: where a vault's names are paths, the later is refused; the earlier stays
    everywhere. No two keys of the vault's own are such names."""
    vault.put_new(first, b"first")
    with pytest.raises(NotFound):
        vault.get(second)
    if isinstance(vault, S3Vault):
        # A bucket has no directories; servers that keep theirs in some refuse all the same.
        with suppress(VaultUnavailable):
            vault.put_new(second, b"second")
        assert first in list(vault.list(""))
    else:
        with pytest.raises(Conflict):
            vault.put_new(second, b"second")
        assert list(vault.list("")) == [first]
    assert vault.get(first) == b"first"


def test_missing_objects(vault: Vault) -> None:
    """A key without an object is NotFound, also where its directory exists."""
    vault.put_new("a/b", b"")
    for key in ("x", "a/x", "a/b/x", "a"):
        with pytest.raises(NotFound):
            vault.get(key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "..",
        "a/../b",
        ".",
        "a/.hidden",
        "A",
        "a b",
        "a\n",
        "å",
        "a\x00",
        "a" * 201,
        "a/" * 300 + "a",
    ],
)
def test_bad_keys(vault: Vault, key: str) -> None:
    """Nothing outside the vault can be named, and nothing that another backend could not hold."""
    with pytest.raises(InvalidInput):
        vault.put_new(key, b"")
    with pytest.raises(InvalidInput):
        vault.get(key)
    assert list(vault.list("")) == []


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "opd",
        "opd-1",
        "opd-1/",
        "opd-1/live/",
        "opd-1/live/00000000000",
        "opd-1/tile/0/x",
        "roster/",
        "zzz",
        "opd-1/no/",
    ],
)
def test_list_gives_every_key_of_a_prefix_in_order(filled: Vault, prefix: str) -> None:
    """A prefix may end anywhere in a part."""
    assert list(filled.list(prefix)) == [key for key in sorted(KEYS) if key.startswith(prefix)]


def test_list_after_any_key(filled: Vault) -> None:
    """`after` is any string, a key or not, inside or outside the prefix."""
    afters = [*KEYS, "opd-1/live/000000000003", "opd-1/live/", "zzz", "a"]
    for prefix, after in itertools.product(("", "opd-1/live/", "opd-1/"), afters):
        expected = [key for key in sorted(KEYS) if key.startswith(prefix) and key > after]
        assert list(filled.list(prefix, after=after)) == expected


def test_location_and_warning(vault: Vault) -> None:
    """A vault says where it is and what it does not protect against."""
    scheme, _, rest = vault.location.partition("://")
    assert rest
    assert "token" not in vault.location
    assert vault.warning == {
        "file": "not safe from this machine's administrator",
        "s3": "not safe from this machine's administrator",
        "keeper+http": "spoken to in plain HTTP: whoever is on the network reads its token",
    }[scheme]


def test_what_a_vault_claims_of_its_protection_is_asked(vault: Vault) -> None:
    """A directory claims none; a bucket that locks, with credentials that can only add, says so."""
    protection = vault.require_protection()
    assert (protection is None) == isinstance(vault, DirectoryVault | KeeperVault)
    assert protection is None or "keeps its locks" in protection
    assert list(vault.list("")) == [], "asking leaves nothing among the vault's keys"
