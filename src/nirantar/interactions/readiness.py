"""Making a resource ready to be written: checked, its references final, its bytes and its outline made.

Nothing here depends on the hospital's state, so it can be done before the writer's turn, and by another process: then
a `Question` goes there and an `Answer` comes back, as MessagePack.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from nirantar.errors import Issue, ResourceInvalid
from nirantar.fhir import json
from nirantar.fhir.outline import Outline, outline_of
from nirantar.fhir.references import rewrite_references
from nirantar.fhir.validation import validate

_HEAD: Final = frozenset({"resourceType", "id", "meta"})
_STAMPS: Final = frozenset({"versionId", "lastUpdated"})


class Ready(msgspec.Struct, frozen=True, array_like=True):
    """A resource but for its stamps, in JSON: `meta` is what the client wrote there and may, `body` all other elements
    without type and id. `outline` is the resource's without the time of its last change."""

    meta: bytes
    body: bytes
    outline: Outline

    def stamped(self, type: str, id: str, version_id: str, last_updated: str) -> bytes:
        """The resource's final bytes: type, id and meta first, then the body."""
        meta = json.encode({"versionId": version_id, "lastUpdated": last_updated})
        head = json.encode({"resourceType": type, "id": id, "meta": msgspec.Raw(_joined(meta, self.meta))})
        return _joined(head, self.body)


class Question(msgspec.Struct, frozen=True, array_like=True):
    """Resources as JSON, and what their references come to mean (text to `Type/id`)."""

    resources: list[bytes]
    mapping: dict[str, str]


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """Every resource ready, or what is wrong with the first that is not valid; neither where answering failed."""

    ready: list[Ready] = []
    issues: list[Issue] = []


_encoder: Final = msgspec.msgpack.Encoder()
_question_decoder: Final = msgspec.msgpack.Decoder(Question)
_answer_decoder: Final = msgspec.msgpack.Decoder(Answer)


def make_ready(resource: dict[str, Any]) -> Ready:
    """Make ready a resource whose references are final."""
    meta = {key: value for key, value in resource.get("meta", {}).items() if key not in _STAMPS}
    body = json.encode({key: value for key, value in resource.items() if key not in _HEAD})
    return Ready(json.encode(meta), body, outline_of({**resource, "meta": meta} if "meta" in resource else resource))


def ask(resources: Sequence[dict[str, Any]], mapping: dict[str, str]) -> bytes:
    """A question, to be sent to whoever answers with `answer`."""
    return _encoder.encode(Question([json.encode(each) for each in resources], mapping))


def answer(question: bytes) -> bytes:
    """Check the question's resources and make them ready."""
    asked = _question_decoder.decode(question)
    resources = [json.decode(each) for each in asked.resources]
    try:
        for each in resources:
            validate(each)
    except ResourceInvalid as invalid:
        return _encoder.encode(Answer(issues=list(invalid.found)))
    return _encoder.encode(Answer(ready=[make_ready(rewrite_references(each, asked.mapping)) for each in resources]))


def read_answer(data: bytes) -> list[Ready]:
    """The resources of an answer, in the question's order; none where answering failed. Raises ResourceInvalid."""
    answered = _answer_decoder.decode(data)
    if answered.issues:
        raise ResourceInvalid(tuple(answered.issues))
    return answered.ready


def _joined(head: bytes, rest: bytes) -> bytes:
    """Two JSON objects, the first of which is not empty, as one."""
    return head if rest == b"{}" else head[:-1] + b"," + rest[1:]
