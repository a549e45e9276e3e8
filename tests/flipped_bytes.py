"""Flipping random bits of a node's databases, and what must come of it."""

from __future__ import annotations

from pathlib import Path
from random import Random

from nirantar.app.node import VIEW_FILE
from nirantar.app.verifying import VerifyReport, verify_node
from nirantar.errors import NirantarError
from nirantar.fhir.search_query import parse_condition
from nirantar.journal.log import JOURNAL_FILE
from nirantar.journal.reader import JournalReader
from node_at_hand import Site, content, found_site, opened, write

__all__ = ["ORIGIN", "Flipping", "check_answers", "check_journal", "check_view", "sealed_site", "searched"]

ORIGIN = "nirantar.fault-hospital/opd-1"
PEOPLE = 60


def sealed_site(place: Path) -> Site:
    """A hospital with sixty people, closed; its vault has them."""
    site = found_site(place)
    with opened(site) as node:
        for number in range(PEOPLE):
            write(node, number)
        node.sealer.step()
    return site


class Flipping:
    """Flips random bytes of one file and puts every file of the directory back after each."""

    def __init__(self, site: Site, name: str, seed: int) -> None:
        self._site = site
        self._path = site.directory / name
        self._seed = seed
        self._random = Random(seed)
        self._kept = {path: path.read_bytes() for path in site.directory.glob("*.db*")}

    def flip(self) -> str:
        """Change one byte; where."""
        data = bytearray(self._kept[self._path])
        offset = self._random.randrange(len(data))
        data[offset] ^= 1 << self._random.randrange(8)
        self._path.write_bytes(data)
        return f"seed={self._seed} {self._path.name} byte {offset}"

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


def check_journal(site: Site, seed: int, flips: int) -> None:
    """Each flip in the journal is named, or readers get the same bytes."""
    whole = journalled(site)
    flipping, named = Flipping(site, JOURNAL_FILE, seed), 0
    for _ in range(flips):
        where = flipping.flip()
        report = verified(site)
        if report is None or not report.ok:
            assert report is None or report.findings, where
            named += 1
        else:
            assert journalled(site) == whole, f"{where}: readers get something else, and nobody noticed"
        flipping.put_back()
    assert named > flips // 8
    assert verify_node(site.host, site.directory).ok


def check_view(site: Site, seed: int, flips: int) -> None:
    """Each flip in the view is named and healed, or clients get the same bytes."""
    whole = searched(site)
    flipping, named = Flipping(site, VIEW_FILE, seed), 0
    for _ in range(flips):
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
    assert named > flips // 8


def check_answers(site: Site, seed: int, flips: int) -> None:
    """Whatever was flipped, opening and reading a node ends in an answer or in an error of ours."""
    for name in (JOURNAL_FILE, VIEW_FILE):
        flipping = Flipping(site, name, seed)
        for _ in range(flips):
            flipping.flip()
            try:
                content(site)
            except NirantarError as error:
                assert str(error)
            flipping.put_back()
