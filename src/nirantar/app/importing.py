"""Taking in FHIR data: transaction Bundles (.json) and one resource a line (.ndjson).

Ids derive from content: each Bundle or line has an idempotency key made of its bytes, so importing again, or going on
after a break, adds nothing. What refers to something that is not there yet (`Practitioner?identifier=...`) is tried
again after everything else.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from nirantar import limits
from nirantar.errors import Conflict, InvalidInput, LimitExceeded, NirantarError, NotFound, ResourceInvalid
from nirantar.fhir import json
from nirantar.fhir.transaction_bundle import Operation, parse_transaction, resources_invalid
from nirantar.host.port import Host
from nirantar.interactions.authorize import Caller
from nirantar.interactions.operations import create, update
from nirantar.interactions.transact import Transact
from nirantar.interactions.transaction import Outcome, Purpose

IMPORTER: Final = Caller("operator:import", "Import", "integration", "terminal")
IN_FLIGHT_MAX: Final = 64
ENDINGS: Final = (".json", ".ndjson")
_READ_BYTES: Final = 1024 * 1024


@dataclass(slots=True)
class ImportReport:
    """What an import did: `resources` counts new versions by type, `unchanged` what was there from an earlier run."""

    files: int = 0
    transactions: int = 0
    resources: Counter[str] = field(default_factory=Counter)
    unchanged: int = 0
    rejected: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Piece:
    """One transaction to be: where it stands, its key, and what it asks for."""

    place: str
    key: str
    operations: tuple[Operation, ...]


def import_files(
    host: Host, transact: Transact, paths: Sequence[Path], *, progress: Callable[[int, int], None]
) -> ImportReport:
    """Import every .json and .ndjson file of `paths` (files, or directories with their subdirectories).

    A piece that is refused is reported with its sentence and does not stop the rest. Raises NotFound for a path that
    is not there, InvalidInput for a file of another kind, Unavailable when the node cannot write now, Damaged when it
    cannot trust its own files: what was taken in stays, and the import is repeated later.
    """
    files = list(_files(host, paths))
    report = ImportReport(files=len(files))
    later: list[_Piece] = []
    in_flight: deque[tuple[_Piece, Future[Outcome]]] = deque()

    def settle(down_to: int) -> None:
        while len(in_flight) > down_to:
            piece, future = in_flight.popleft()
            _settle(report, piece, future, later)

    def send(piece: _Piece) -> None:
        settle(IN_FLIGHT_MAX - 1)
        purpose = Purpose("import", idempotency_key=piece.key)
        try:
            in_flight.append((piece, transact.submit(IMPORTER, piece.operations, purpose)))
        except (InvalidInput, NotFound) as reason:
            report.rejected.append((piece.place, _why(piece, reason)))

    for number, path in enumerate(files):
        for piece in _pieces(host, path, report):
            send(piece)
        progress(number + 1, len(files))
    settle(0)
    while later:
        again, later[:] = later[:], []
        for piece in again:
            send(piece)
        settle(0)
        if len(later) == len(again):
            report.rejected += [(piece.place, "it refers to something that is not here") for piece in later]
            break
    return report


def _files(host: Host, paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (each for each in host.files.walk(path) if each.suffix in ENDINGS)
        elif not host.files.exists(path):
            raise NotFound(f"There is no {path}.")
        elif path.suffix not in ENDINGS:
            raise InvalidInput(f"{path} does not end in {' or '.join(ENDINGS)}: only those are taken in.")
        else:
            yield path


def _pieces(host: Host, path: Path, report: ImportReport) -> Iterator[_Piece]:
    for place, text in _texts(host, path):
        try:
            if len(text) > limits.REQUEST_BYTES_MAX:
                raise LimitExceeded(f"It is longer than REQUEST_BYTES_MAX ({limits.REQUEST_BYTES_MAX} bytes).")
            yield _Piece(place, sha256(text).hexdigest(), _operations(json.decode(text)))
        except InvalidInput as reason:
            report.rejected.append((place, str(reason)))


def _texts(host: Host, path: Path) -> Iterator[tuple[str, bytes]]:
    """(place, JSON) of each piece of a file, in bounded memory: what is too long is cut just beyond the bound."""
    if path.suffix != ".ndjson":
        yield path.name, host.files.read(path, 0, limits.REQUEST_BYTES_MAX + 1)
        return
    number, start, rest = 1, 0, b""
    while data := host.files.read(path, start, _READ_BYTES):
        start += len(data)
        *lines, rest = (rest + data).split(b"\n")
        rest = rest[: limits.REQUEST_BYTES_MAX + 1]
        for line in lines:
            if line.strip():
                yield f"{path.name}:{number}", line
            number += 1
    if rest.strip():
        yield f"{path.name}:{number}", rest


def _operations(resource: Any) -> tuple[Operation, ...]:
    if not isinstance(resource, dict):
        raise InvalidInput("It is JSON, but not a FHIR resource.")
    if resource.get("resourceType") == "Bundle" and resource.get("type") in ("transaction", "batch"):
        if resource["type"] == "batch":
            raise InvalidInput("A batch Bundle is not taken in: make it a transaction, or one resource a line.")
        return parse_transaction(resource).operations
    return (update(resource),) if "id" in resource else (create(resource),)


def _why(piece: _Piece, reason: NirantarError) -> str:
    """Why a piece was refused; of a Bundle with the entry, which the door does not know."""
    named = resources_invalid(piece.operations) if isinstance(reason, ResourceInvalid) else None
    return str(named if named is not None and len(piece.operations) > 1 else reason)


def _settle(report: ImportReport, piece: _Piece, future: Future[Outcome], later: list[_Piece]) -> None:
    try:
        outcome = future.result()
    except NotFound:
        later.append(piece)
        return
    except (InvalidInput, Conflict) as reason:
        report.rejected.append((piece.place, _why(piece, reason)))
        return
    report.transactions += 1
    for result in outcome.results:
        if outcome.replayed or result.status == "unchanged":
            report.unchanged += 1
        else:
            report.resources[result.type] += 1
