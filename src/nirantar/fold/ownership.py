"""What has one owner: the things that only one place's node may change while the hospital is split.

Most of a record may be written anywhere, and concurrent edits are reconciled afterwards. A bed, a queue token or an
accession number cannot be: two nodes that both give it out have made a mistake in the ward, not in a file. So each
such kind of thing belongs to one kind of place, declared here, one line for a resource type and place. Which node
holds a place is a journalled lease with an epoch; that comes with the workflows that need it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

PlaceKind = Literal["ward", "clinic", "laboratory"]


@dataclass(frozen=True, slots=True)
class Owned:
    """One declaration: resources of `type` belong to a place of kind `place`; `thing` is what staff call them."""

    type: str
    place: PlaceKind
    thing: str


OWNED: Final = (
    Owned("Location", "ward", "bed"),
    Owned("MedicationAdministration", "ward", "medication chart"),
    Owned("Appointment", "clinic", "queue token"),
    Owned("Specimen", "laboratory", "accession"),
)


def owners_of(resource_type: str) -> tuple[Owned, ...]:
    """The declarations for a type; none where any node may write it."""
    return tuple(owned for owned in OWNED if owned.type == resource_type)


def things_of(place: PlaceKind) -> tuple[Owned, ...]:
    """What belongs to places of this kind."""
    return tuple(owned for owned in OWNED if owned.place == place)
