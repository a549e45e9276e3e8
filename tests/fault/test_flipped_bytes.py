"""Any byte that a reader uses, flipped in a node's files: found and named, and the view healed from the journal.

Flips fall on random bytes of the real files. Where verification finds nothing, what clients can read must be the same
to the byte: then the byte was one that nobody uses (free space, a counter that SQLite keeps for itself).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from random import Random

import apsw
import msgspec
import pytest

from nirantar.app.node import VIEW_FILE, read_papers
from nirantar.app.verifying import VerifyReport, verify_node
from nirantar.errors import NirantarError
from nirantar.fhir.search_query import parse_condition
from nirantar.journal.log import JOURNAL_FILE
from nirantar.journal.reader import JournalReader
from nirantar.store.sqlite import SqliteView
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.merkle import leaf_hash, root
from node_at_hand import Site, content, found_site, opened, write

ORIGIN = "nirantar.fault-hospital/opd-1"
PEOPLE = 60
FLIPS = 80
SEED = 20_221_123


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A hospital with sixty people, closed; its vault has them."""
    site = found_site(tmp_path)
    with opened(site) as node:
        for number in range(PEOPLE):
            write(node, number)
        node.sealer.step()
    return site


class Flipping:
    """Flips random bytes of one file and puts every file of the directory back after each."""

    def __init__(self, site: Site, name: str, random: Random) -> None:
        self._site = site
        self._path = site.directory / name
        self._random = random
        self._kept = {path: path.read_bytes() for path in site.directory.glob("*.db*")}

    def flip(self) -> str:
        """Change one byte; where."""
        data = bytearray(self._kept[self._path])
        offset = self._random.randrange(len(data))
        data[offset] ^= 1 << self._random.randrange(8)
        self._path.write_bytes(data)
        return f"seed={SEED} {self._path.name} byte {offset}"

    def put_back(self) -> None:
        """Every database as it was."""
        for path in self._site.directory.glob("*.db*"):
            if path not in self._kept:
                path.unlink()
        for path, data in self._kept.items():
            path.write_bytes(data)


def verified(site: Site, *, heal: bool = False) -> VerifyReport | None:
    """What verification says; None where it cannot even begin and says so with a clear error."""
    try:
        return verify_node(site.host, site.directory, heal=heal)
    except NirantarError:
        return None


def journalled(site: Site) -> tuple[list[bytes], bytes]:
    """What readers take from the journal: every entry and the newest signed checkpoint."""
    reader = JournalReader(site.host, site.directory / JOURNAL_FILE)
    try:
        signed = reader.checkpoint(ORIGIN)
        assert signed is not None
        return [reader.entry(ORIGIN, index) for index in range(reader.size(ORIGIN))], signed[1]
    finally:
        reader.close()


def searched(site: Site) -> dict[str, bytes | None]:
    """What clients read, and what a search by each number finds."""
    found = content(site)
    with opened(site) as node, node.view.reader() as state:
        for number in range(PEOPLE):
            page = state.search(parse_condition("Patient", f"identifier=urn:example:number|{number}"))
            found[f"search {number}"] = b" ".join(version.id.encode() for version in page.versions)
    return found


def test_a_flipped_byte_of_the_journal_is_named_or_unused(site: Site) -> None:
    """Eighty random bits of the journal's file."""
    whole = journalled(site)
    flipping, named = Flipping(site, JOURNAL_FILE, Random(SEED)), 0
    for _ in range(FLIPS):
        where = flipping.flip()
        report = verified(site)
        if report is None or not report.ok:
            assert report is None or report.findings, where
            named += 1
        else:
            assert journalled(site) == whole, f"{where}: readers get something else, and nobody noticed"
        flipping.put_back()
    assert named > FLIPS // 8
    assert verify_node(site.host, site.directory).ok


def test_a_flipped_byte_of_the_view_is_named_and_healed_or_unused(site: Site) -> None:
    """Eighty random bits of the view's file. What is found is healed from the journal; what is not found changes no
    answer. Reading the damaged view ends in an answer or a clear error."""
    whole = searched(site)
    flipping, named = Flipping(site, VIEW_FILE, Random(SEED)), 0
    for _ in range(FLIPS):
        where = flipping.flip()
        report = verified(site)
        if report is not None and report.ok:
            assert searched(site) == whole, f"{where}: clients get something else, and nobody noticed"
        else:
            named += 1
            healed = verified(site, heal=True)
            assert healed is not None, where
            assert healed.ok, f"{where}: {healed.findings}"
            assert searched(site) == whole, f"{where}: healed to something else"
        flipping.put_back()
    assert named > FLIPS // 8


def test_a_flipped_byte_never_ends_a_node_with_a_riddle(site: Site) -> None:
    """Opening and reading a node with a damaged file, unverified: an answer, or an error of ours that says what."""
    for name in (JOURNAL_FILE, VIEW_FILE):
        flipping = Flipping(site, name, Random(SEED + 1))
        for _ in range(FLIPS // 2):
            flipping.flip()
            try:
                content(site)
            except NirantarError as error:
                assert str(error)
            flipping.put_back()


@pytest.mark.parametrize("name", ["hospital.json", "roster.note", "keys/node.key", "nirantar.toml", "generation.json"])
def test_a_flipped_byte_of_the_papers_is_a_clear_error(site: Site, name: str) -> None:
    """A node whose papers were changed does not start, or reads only, or is the same node: it never writes as another."""
    path, random = site.directory / name, Random(SEED)
    kept, whole = path.read_bytes(), read_papers(site.host, site.directory)
    path.chmod(0o600)
    for _ in range(25):
        data = bytearray(kept)
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        path.write_bytes(data)
        try:
            with opened(site) as node:
                same = (node.papers.origin, node.papers.roster, node.papers.signer.vkey)
                assert same == (whole.origin, whole.roster, whole.signer.vkey)
        except NirantarError as error:
            assert str(error)
    path.write_bytes(kept)
    with opened(site) as node:
        assert node.status().read_only is None


def rewrite(site: Site, name: str, statements: Callable[[apsw.Connection], None]) -> None:
    """What somebody with SQLite at hand does to a database of the node."""
    connection = apsw.Connection(str(site.directory / name))
    with connection:
        statements(connection)
    connection.close()


def test_a_view_with_rewritten_rows_and_digests_is_found_and_healed(site: Site) -> None:
    """The attacker changes a record and has the view's own code compute everything derived from it again, so that the
    view agrees with itself. It does not agree with the journal: the record is named, and healed."""
    whole = searched(site)

    def alter(connection: apsw.Connection) -> None:
        (row, resource), *_ = connection.execute("SELECT version_row, resource FROM version ORDER BY version_row")
        document = msgspec.json.decode(bytes(resource))
        altered = msgspec.json.encode({**document, "multipleBirthBoolean": True})
        connection.execute("UPDATE version SET resource = ? WHERE version_row = ?", (altered, row))
        connection.execute("INSERT OR IGNORE INTO digest_stale (subject) VALUES (?)", (f"Patient/{document['id']}",))
        victims.append(document["id"])

    victims: list[str] = []
    rewrite(site, VIEW_FILE, alter)
    view = SqliteView(site.host, site.directory / VIEW_FILE, number_series={})
    view.settle_digest()
    with view.reader() as state:
        assert list(state.check_rows()) == []
    view.close()
    report = verify_node(site.host, site.directory)
    assert not report.ok
    assert [finding.where for finding in report.findings] == [f"Patient/{victims[0]}"]
    assert verify_node(site.host, site.directory, heal=True).ok
    assert searched(site) == whole


def test_a_rewritten_entry_with_a_fitting_leaf_hash_is_found(site: Site) -> None:
    """The attacker changes an entry and its leaf hash; the node's signed checkpoints are over the old ones."""

    def alter(connection: apsw.Connection) -> None:
        (row, data), *_ = connection.execute("SELECT row, data FROM entry ORDER BY row LIMIT 1")
        altered = bytes(data).replace(b'"value":"0"', b'"value":"9"')
        assert altered != data
        connection.execute("UPDATE entry SET data = ?, leaf_hash = ? WHERE row = ?", (altered, leaf_hash(altered), row))

    rewrite(site, JOURNAL_FILE, alter)
    report = verify_node(site.host, site.directory)
    assert "the entries do not hash to the root that the node signed" in {finding.what for finding in report.findings}


def test_a_history_rewritten_with_the_nodes_own_key_is_seen_from_the_vault(site: Site) -> None:
    """The attacker has the node's key, changes the first entry and signs anew: the directory is sound in itself. The
    vault holds the head that was signed before, so the node only reads, and says why."""
    signer = read_papers(site.host, site.directory).signer

    def alter(connection: apsw.Connection) -> None:
        rows = connection.execute("SELECT row, data FROM entry ORDER BY row").fetchall()
        salted = msgspec.json.decode(bytes(rows[0][1]))
        salted["salt"] = b64encode(bytes(16)).decode()
        altered = msgspec.json.encode(salted)
        connection.execute("UPDATE entry SET data = ?, leaf_hash = ? WHERE row = ?", (altered, leaf_hash(altered), rows[0][0]))
        leaves = [leaf_hash(altered), *(leaf_hash(bytes(data)) for _, data in rows[1:])]
        note = Checkpoint(ORIGIN, len(leaves), root(leaves)).sign(signer)
        connection.execute("DELETE FROM checkpoint WHERE tree_size < ?", (len(leaves),))
        connection.execute("UPDATE checkpoint SET note = ?", (note,))

    rewrite(site, JOURNAL_FILE, alter)
    (site.directory / VIEW_FILE).unlink()
    with opened(site) as node:
        assert "its entries were rewritten" in str(node.status().read_only)
