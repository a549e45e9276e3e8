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

from flipped_bytes import ORIGIN, check_answers, check_journal, check_view, sealed_site, searched
from nirantar.app.node import VIEW_FILE, read_papers
from nirantar.app.verifying import verify_node
from nirantar.errors import NirantarError
from nirantar.journal.log import JOURNAL_FILE
from nirantar.store.sqlite import SqliteView
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.merkle import leaf_hash, root
from node_at_hand import Site, opened

FLIPS = 80
SEED = 20_221_123


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A hospital with sixty people, closed; its vault has them."""
    return sealed_site(tmp_path)


def test_a_flipped_byte_of_the_journal_is_named_or_unused(site: Site) -> None:
    """Eighty random bits of the journal's file."""
    check_journal(site, SEED, FLIPS)


def test_a_flipped_byte_of_the_view_is_named_and_healed_or_unused(site: Site) -> None:
    """Eighty random bits of the view's file. What is found is healed from the journal; what is not found changes no
    answer."""
    check_view(site, SEED, FLIPS)


def test_a_flipped_byte_never_ends_a_node_with_a_riddle(site: Site) -> None:
    """Opening and reading a node with a damaged file, unverified: an answer, or an error of ours that says what."""
    check_answers(site, SEED + 1, FLIPS // 2)


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
