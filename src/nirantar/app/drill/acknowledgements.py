"""What a server acknowledged, kept by the client as exact bytes. Only the standard library is used.

A parsed resource written out again would prove nothing about bytes, so each resource is cut out of the answer as it
stands there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

_DECODER: Final = json.JSONDecoder()
_BLANKS: Final = " \t\r\n"


class Version(NamedTuple):
    """One acknowledged resource version: `place` is `Type/id/_history/version`, `data` its bytes as answered."""

    place: str
    data: bytes


class Acknowledged(NamedTuple):
    """One acknowledged write. `generation` counts the services from 1: the attacked one, then the recovered one."""

    number: int
    generation: int
    versions: tuple[Version, ...]

    @property
    def entry_index(self) -> int:
        """The log's entry that holds it: version ids are `<node>.<entry index>`."""
        return int(self.versions[0].place.rpartition(".")[2])

    @property
    def name(self) -> str:
        """What people call it: `Patient/<id>`."""
        return "/".join(self.versions[0].place.split("/")[:2])


def versions_in(answer: bytes) -> tuple[Version, ...]:
    """Every resource of a transaction-response Bundle, byte for byte. Raises ValueError when it is none, or when an
    entry lacks its resource or location."""
    text = answer.decode()
    whole = json.loads(text)  # From here on the text is known to be well-formed.
    outer = dict(_members(text, _skip(text, 0, ""))) if isinstance(whole, dict) else {}
    if "entry" not in outer:
        raise ValueError("the answer is no transaction response")
    return tuple(_version(text, place) for place in _elements(text, outer["entry"][0]))


def _version(text: str, start: int) -> Version:
    parts = dict(_members(text, start))
    if not parts.keys() >= {"resource", "response"}:
        raise ValueError("an entry of the answer carries no resource")
    location = json.loads(text[slice(*parts["response"])])["location"]
    return Version("/".join(location.split("/")[-4:]), text[slice(*parts["resource"])].encode())


def _members(text: str, start: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Name and (start, end) of the value of each member of the JSON object at `start`."""
    at = _skip(text, start, "{")
    while text[at] != "}":
        name, at = _DECODER.raw_decode(text, at)
        at = _skip(text, at, ":")
        _, end = _DECODER.raw_decode(text, at)
        yield name, (at, end)
        at = _skip(text, end, ",")


def _elements(text: str, start: int) -> Iterator[int]:
    """Where each element of the JSON array at `start` begins."""
    at = _skip(text, start, "[")
    while text[at] != "]":
        yield at
        _, end = _DECODER.raw_decode(text, at)
        at = _skip(text, end, ",")


def _skip(text: str, at: int, mark: str) -> int:
    """Past blanks, and past `mark` if it comes next."""
    while text[at] in _BLANKS:
        at += 1
    if mark and text[at] == mark:
        at += 1
        while text[at] in _BLANKS:
            at += 1
    return at


def keep(record: BinaryIO, acknowledged: Acknowledged) -> None:
    """Add one write to a record file and make it durable before anything else happens."""
    versions = [[each.place, each.data.decode()] for each in acknowledged.versions]
    line = [acknowledged.number, acknowledged.generation, versions]
    record.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
    record.flush()
    os.fsync(record.fileno())


def kept(directory: Path) -> Iterator[Acknowledged]:
    """Every write in the record files of a directory, read from disk."""
    for path in sorted(directory.glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if not line.endswith("\n"):  # Its writer is still at it.
                    break
                number, generation, versions = json.loads(line)
                yield Acknowledged(
                    number, generation, tuple(Version(place, data.encode()) for place, data in versions)
                )
