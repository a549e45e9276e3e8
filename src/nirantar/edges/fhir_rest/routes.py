"""Every path and method that the FHIR API answers, as one table: the application, `/metadata` and the permission
matrix are all made from it.

Source: R4 http §3.1.0.1. A type's name and an id are checked by the path's pattern, so a handler sees only those that
could exist.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal

from starlette.convertors import Convertor, register_url_convertor

from nirantar.edges.fhir_rest import batches, disclosing, reading, searching, writing
from nirantar.edges.fhir_rest.answers import Answer
from nirantar.edges.fhir_rest.exchange import Exchange

Access = Literal["open", "read", "write", "by-entry", "disclose"]
"""`open`: no token. `read`, `write`: the caller's role must allow that of the type in the path. `by-entry`: a token,
and then each entry of the body by its own method and type. `disclose`: a role that may release copies of records."""

Level = Literal["type", "system"]
Handler = Callable[[Exchange], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Interaction:
    """One method on one path. `codes` are FHIR's names for it, as a CapabilityStatement lists them; `feature` is a
    conditional form that it adds there."""

    method: str
    path: str
    access: Access
    level: Level
    codes: tuple[str, ...]
    handler: Handler
    feature: tuple[str, str | bool] | None = None


class _TypeConvertor(Convertor[str]):
    """A resource type's name, known or not."""

    regex = "[A-Z][A-Za-z]{1,63}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _IdConvertor(Convertor[str]):
    """FHIR's id: also a version's."""

    regex = r"[A-Za-z0-9\-.]{1,64}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("fhir_type", _TypeConvertor())
register_url_convertor("fhir_id", _IdConvertor())

METADATA: Final = "/metadata"
BASE: Final = "/"
_TYPE: Final = "/{type:fhir_type}"
_INSTANCE: Final = "/{type:fhir_type}/{id:fhir_id}"
_VERSION: Final = f"{_INSTANCE}/_history/{{version_id:fhir_id}}"

# The most frequent first: paths are tried in this order.
INTERACTIONS: Final = (
    Interaction("GET", _INSTANCE, "read", "type", ("read",), reading.read, ("conditionalRead", "not-match")),
    Interaction("PUT", _INSTANCE, "write", "type", ("update",), writing.update, ("updateCreate", True)),
    Interaction("DELETE", _INSTANCE, "write", "type", ("delete",), writing.delete),
    Interaction("GET", _TYPE, "read", "type", ("search-type",), searching.search),
    Interaction("POST", _TYPE, "write", "type", ("create",), writing.create, ("conditionalCreate", True)),
    Interaction(
        "PUT", _TYPE, "write", "type", ("update",), writing.update_by_condition, ("conditionalUpdate", True)
    ),
    Interaction(
        "DELETE", _TYPE, "write", "type", ("delete",), writing.delete_by_condition, ("conditionalDelete", "single")
    ),
    Interaction("POST", BASE, "by-entry", "system", ("transaction", "batch"), batches.transaction_or_batch),
    Interaction("POST", f"{_TYPE}/_search", "read", "type", ("search-type",), searching.search_by_form),
    Interaction("GET", _VERSION, "read", "type", ("vread",), reading.read_version, ("readHistory", True)),
    Interaction("GET", f"{_INSTANCE}/_history", "read", "type", ("history-instance",), reading.history),
    Interaction("GET", f"{_TYPE}/_history", "read", "type", ("history-type",), reading.history),
    Interaction("POST", f"{_INSTANCE}/$prove", "disclose", "type", (), disclosing.prove),
)


@dataclass(frozen=True, slots=True)
class Permission:
    """Who may use a method of a path: by `access`, and of the type in the path where there is one."""

    method: str
    path: str
    access: Access


def permission_matrix() -> tuple[Permission, ...]:
    """Every method of every path, with what it takes to use it."""
    listed = [Permission(each.method, each.path, each.access) for each in INTERACTIONS]
    return (*listed, Permission("GET", METADATA, "open"))
