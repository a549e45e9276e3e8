"""The door for scans and documents: a Binary resource in the log, its content as an encrypted attachment beside it."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from nirantar.errors import Damaged, InvalidInput
from nirantar.fhir import json
from nirantar.interactions.authorize import Caller, authorize
from nirantar.interactions.operations import create
from nirantar.interactions.read import Read
from nirantar.interactions.transact import Transact
from nirantar.interactions.transaction import Outcome, Purpose
from nirantar.journal.attachments import Attachments
from nirantar.journal.entry import Attachment, attachments_in
from nirantar.journal.reader import JournalReader

ATTACHMENT_URL: Final = "urn:nirantar:attachment"
"""The extension by which a Binary without `data` says which attachment holds its content."""


class Attach:
    """Stores and reads attachments. The object is durable before the entry that refers to it."""

    def __init__(self, attachments: Attachments, transact: Transact, read: Read, journal: JournalReader) -> None:
        self._attachments = attachments
        self._transact = transact
        self._read = read
        self._journal = journal

    def submit(
        self, caller: Caller, content: bytes, content_type: str, purpose: Purpose
    ) -> Future[Outcome]:
        """Store `content` and create its Binary. Raises Forbidden, LimitExceeded, and what `Transact` raises."""
        authorize(caller, "write", ("Binary",))
        if not content:
            raise InvalidInput("The attachment is empty.")
        attachment = self._attachments.store(content)
        resource: dict[str, Any] = {
            "resourceType": "Binary",
            "meta": {"extension": [{"url": ATTACHMENT_URL, "valueString": attachment.sha256}]},
            "contentType": content_type,
        }
        # Not of the resource: each time it is stored, the same content becomes another encrypted object.
        asked = sha256(content_type.encode() + b"\n" + content).hexdigest()
        held = replace(purpose, attachments=(attachment,), request_hash=asked)
        return self._transact.submit(caller, (create(resource),), held)

    def content(self, caller: Caller, id: str) -> tuple[str, bytes]:
        """(content type, content) of a Binary whose content is an attachment. Raises InvalidInput for one that carries
        `data` itself, NotFound, Gone, Forbidden, and Damaged when the object is not what was stored."""
        version = self._read.read(caller, "Binary", id)
        resource = json.decode(version.resource or b"{}")
        digest = next(
            (
                each.get("valueString")
                for each in resource["meta"].get("extension", ())
                if each.get("url") == ATTACHMENT_URL
            ),
            None,
        )
        if digest is None:
            raise InvalidInput(f"Binary/{id} carries its content as data: read it as a FHIR resource.")
        entry = self._journal.entry(version.origin, version.entry_index)
        return str(resource["contentType"]), self._attachments.content(
            _named(attachments_in(entry, version.origin, version.entry_index), digest)
        )


def _named(attachments: tuple[Attachment, ...], digest: str) -> Attachment:
    for attachment in attachments:
        if attachment.sha256 == digest:
            return attachment
    raise Damaged(f"The entry of attachment {digest} does not hold its key.")
