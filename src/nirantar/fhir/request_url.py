"""The relative URLs of FHIR requests, as a Bundle's entries write them. Source: R4 http §3.1.0.1, §3.1.0.11."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from nirantar.errors import InvalidInput

Interaction = Literal["instance", "version", "type", "instance-history", "type-history"]

_TYPE = re.compile(r"[A-Z][A-Za-z]{0,63}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
_ENTITY_TAG = re.compile(r'(?:W/)?"([A-Za-z0-9.-]{1,64})"', re.ASCII)


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL names: `Type`, `Type/id`, `Type/id/_history/version`, `Type/id/_history` or `Type/_history`.

    `query` is what follows the question mark, still percent-encoded, "" without one.
    """

    interaction: Interaction
    type: str
    id: str | None = None
    version_id: str | None = None
    query: str = ""


def parse_target(url: str) -> Target:
    """Read a URL relative to the FHIR base. Raises InvalidInput for any other form, operations (`$…`) included."""
    path, _, query = url.partition("?")
    match path.split("/"):
        case [type] if _TYPE.fullmatch(type):
            return Target("type", type, query=query)
        case [type, id] if _TYPE.fullmatch(type) and _ID.fullmatch(id):
            return Target("instance", type, id, query=query)
        case [type, "_history"] if _TYPE.fullmatch(type):
            return Target("type-history", type, query=query)
        case [type, id, "_history"] if _TYPE.fullmatch(type) and _ID.fullmatch(id):
            return Target("instance-history", type, id, query=query)
        case [type, id, "_history", version_id] if (
            _TYPE.fullmatch(type) and _ID.fullmatch(id) and _ID.fullmatch(version_id)
        ):
            return Target("version", type, id, version_id, query)
    raise InvalidInput("the URL must be Type, Type?query, Type/id or a _history of these, relative to the server.")


def entity_tag(written: str) -> str:
    """The version id in an ETag such as `W/"node.7"`; `*` stays. Raises InvalidInput for anything else."""
    if written == "*":
        return written
    found = _ENTITY_TAG.fullmatch(written)
    if found is None:
        raise InvalidInput('must be an ETag as this server gives them, such as W/"node.7".')
    return found.group(1)
