"""The outline of a resource: what a view keeps of it beside its bytes. It is the same wherever it is made, so it may be
made once, before the writer's turn, and in another process."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

import msgspec

from nirantar.fhir.compartment import patient_of
from nirantar.fhir.index_rows import DateRow, IndexRow, ReferenceRow, StringRow, TokenRow
from nirantar.fhir.search_parameters import extract


class Outline(msgspec.Struct, frozen=True, array_like=True):
    """Whose chart a resource belongs to (None: nobody's, or it is a Patient), its identifiers as (system, value), and
    its index rows by kind, each once; those of `_id` are left out, since the table of resources answers them."""

    patient: str | None
    identifiers: list[tuple[str, str]]
    tokens: list[TokenRow]
    strings: list[StringRow]
    dates: list[DateRow]
    references: list[ReferenceRow]

    def rows(self) -> Iterator[IndexRow]:
        """Every index row."""
        yield from self.tokens
        yield from self.strings
        yield from self.dates
        yield from self.references

    def without(self, rows: Container[IndexRow]) -> Outline:
        """The same less these rows."""
        return Outline(
            self.patient, self.identifiers,
            [row for row in self.tokens if row not in rows], [row for row in self.strings if row not in rows],
            [row for row in self.dates if row not in rows], [row for row in self.references if row not in rows],
        )

    def with_date(self, row: DateRow) -> Outline:
        """The same and one date more."""
        return Outline(
            self.patient, self.identifiers, self.tokens, self.strings, [*self.dates, row], self.references
        )


def outline_of(resource: dict[str, Any]) -> Outline:
    """The outline of a resource as JSON was decoded. Its references are to be final."""
    tokens: list[TokenRow] = []
    strings: list[StringRow] = []
    dates: list[DateRow] = []
    references: list[ReferenceRow] = []
    for row in extract(resource):
        kind = type(row)
        if kind is TokenRow:
            if row[0] != "_id":
                tokens.append(row)  # type: ignore[arg-type]
        elif kind is StringRow:
            strings.append(row)  # type: ignore[arg-type]
        elif kind is DateRow:
            dates.append(row)  # type: ignore[arg-type]
        else:
            references.append(row)  # type: ignore[arg-type]
    patient = None if resource.get("resourceType") == "Patient" else patient_of(resource)
    return Outline(patient, list(_identifiers(resource)), tokens, strings, dates, references)


def _identifiers(resource: dict[str, Any]) -> Iterator[tuple[str, str]]:
    identifiers = resource.get("identifier")
    if isinstance(identifiers, list):
        for identifier in identifiers:
            if isinstance(identifier, dict):
                system, value = identifier.get("system"), identifier.get("value")
                if isinstance(system, str) and isinstance(value, str):
                    yield system, value
