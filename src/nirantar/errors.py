"""Every error that Nirantar raises on purpose, in one tree.

    NirantarError                   carries a sentence for the person who can act on it
    ├── InvalidInput                the caller's input is wrong; nothing was done
    │   ├── MalformedJson           not JSON, not UTF-8, too deep
    │   ├── ResourceInvalid         JSON, but not a valid FHIR R4 resource; carries every issue
    │   ├── FieldsInvalid           a filled-in form that a workflow refuses; carries a sentence for each field
    │   ├── UnknownSearchParameter  a search parameter that is not held here
    │   └── LimitExceeded           larger than a bound of limits.py, which it names
    ├── NotFound                    no such resource, version or object
    ├── Gone                        it existed and was deleted
    ├── Conflict                    the state does not allow it now
    │   ├── VersionConflict         If-Match names a version that is not the current one
    │   ├── MultipleMatches         a condition matches more than one resource
    │   ├── BusinessRule            a rule of the hospital or of FHIR refuses it
    │   └── WitnessConflict         a witness last cosigned another size than the caller thinks; carries that size
    ├── AccessDenied                the caller may not
    │   ├── NotSignedIn             nobody, or an expired or wrong credential
    │   └── Forbidden               somebody whose role does not allow it
    ├── Unavailable                 it could work later, unchanged
    │   ├── Overloaded              a queue of limits.py is full
    │   ├── DiskFull                the disk refuses more bytes; reading goes on
    │   ├── ReadOnly                this node does not write (cloned, or rolled back)
    │   ├── NotHereYet              a part of the records that a recovery still has to fetch, and cannot fetch now
    │   └── VaultUnavailable        the vault did not confirm in time
    ├── Damaged                     stored bytes are not what was written; names what and where
    │   ├── ProofInvalid            a Merkle proof, signature or note does not verify
    │   ├── EntryDamaged            one entry of a journal
    │   ├── SegmentDamaged          one object of a vault
    │   └── SnapshotDamaged         one object of a snapshot of the view
    ├── SetupError                  the operator's directory, key or configuration is not usable
    │   ├── DirectoryInUse          another process holds the directory's lock
    │   ├── ConfigInvalid           a setting is missing, unknown or out of its bounds
    │   └── IdentityWrong           the key does not open this vault
    └── FsyncFailed                 the disk broke its promise: the process must exit

An error means one thing, decided here: the edges map classes to HTTP statuses and exit codes, nothing else does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

IssueSeverity = Literal["fatal", "error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Issue:
    """One line of a FHIR OperationOutcome.

    `code` is from FHIR's issue-type code system, `diagnostics` is a sentence that quotes no patient data, and
    `expression` is a FHIRPath to the element, empty where there is none.
    """

    code: str
    diagnostics: str
    expression: str = ""
    severity: IssueSeverity = "error"


class NirantarError(Exception):
    """The root. `str(error)` is a sentence: what was wrong, where, and what to do. `issue_code` is FHIR's."""

    issue_code = "exception"

    def issues(self) -> tuple[Issue, ...]:
        """The error as OperationOutcome issues."""
        return (Issue(self.issue_code, str(self)),)


class InvalidInput(NirantarError):
    """The caller's input is wrong; nothing was done."""

    issue_code = "invalid"


class MalformedJson(InvalidInput):
    """Not JSON, not UTF-8, or nested deeper than limits.JSON_DEPTH_MAX."""

    issue_code = "structure"


class ResourceInvalid(InvalidInput):
    """A FHIR resource that breaks R4's rules; `found` holds every issue."""

    def __init__(self, found: tuple[Issue, ...]) -> None:
        self.found = found
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        super().__init__(f"{found[0].expression or 'The resource'}: {found[0].diagnostics}{more}")

    def issues(self) -> tuple[Issue, ...]:
        """Every issue that was found."""
        return self.found


class FieldsInvalid(InvalidInput):
    """Fields of a form that a workflow refuses: `fields` maps each field's name to one sentence for who typed it."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields
        super().__init__(" ".join(fields.values()))

    def issues(self) -> tuple[Issue, ...]:
        """One issue a field."""
        return tuple(Issue(self.issue_code, sentence, field) for field, sentence in self.fields.items())


class UnknownSearchParameter(InvalidInput):
    """A search names a parameter or modifier that this node does not index."""

    issue_code = "not-supported"


class LimitExceeded(InvalidInput):
    """Input larger than a bound of limits.py; the message names the bound and its value."""

    issue_code = "too-long"


class NotFound(NirantarError):
    """No such resource, version or object."""

    issue_code = "not-found"


class Gone(NirantarError):
    """The resource existed and was deleted; its history is still there."""

    issue_code = "deleted"


class Conflict(NirantarError):
    """The present state does not allow it."""

    issue_code = "conflict"


class VersionConflict(Conflict):
    """If-Match names a version that is not the current one: read again, decide again."""


class MultipleMatches(Conflict):
    """A condition that must match at most one resource matches several."""

    issue_code = "multiple-matches"


class BusinessRule(Conflict):
    """A rule of the hospital or of FHIR refuses it; the sentence says which and what is allowed."""

    issue_code = "business-rule"


class WitnessConflict(Conflict):
    """A witness last cosigned another size of a log than the caller thinks; `cosigned_size` is that size."""

    def __init__(self, cosigned_size: int) -> None:
        self.cosigned_size = cosigned_size
        super().__init__(f"The witness last cosigned this log at {cosigned_size} entries.")


class AccessDenied(NirantarError):
    """The caller may not do this."""

    issue_code = "forbidden"


class NotSignedIn(AccessDenied):
    """No credential, or one that is wrong or expired."""

    issue_code = "login"


class Forbidden(AccessDenied):
    """A known person whose role does not allow it."""


class Unavailable(NirantarError):
    """It could succeed later without a change of input."""

    issue_code = "transient"


class Overloaded(Unavailable):
    """A named queue is full; try again in a moment."""

    issue_code = "throttled"


class DiskFull(Unavailable):
    """The disk takes no more bytes. Nothing was half written; reading goes on."""

    issue_code = "no-store"


class ReadOnly(Unavailable):
    """This node may not write now; the sentence says why and what to do."""


class NotHereYet(Unavailable):
    """A recovery is still bringing the records here; this part could not be fetched now."""


class VaultUnavailable(Unavailable):
    """The vault did not confirm in time; the write is safe on this node only."""

    issue_code = "timeout"


class Damaged(NirantarError):
    """Stored bytes are not what was written; the sentence names what and where."""

    issue_code = "exception"


class ProofInvalid(Damaged):
    """A Merkle proof, signature, note or checkpoint does not verify."""


class EntryDamaged(Damaged):
    """One entry of a journal differs from its leaf hash or cannot be read."""

    def __init__(self, origin: str, entry_index: int, what: str) -> None:
        self.origin = origin
        self.entry_index = entry_index
        super().__init__(f"Entry {entry_index} of {origin}: {what}")


class SegmentDamaged(Damaged):
    """One object of a vault differs from its header, cannot be opened, or is missing."""

    def __init__(self, key: str, what: str) -> None:
        self.key = key
        super().__init__(f"Vault object {key}: {what}")


class SnapshotDamaged(Damaged):
    """One object of a snapshot differs from what its manifest names, or cannot be opened: take an older snapshot."""

    def __init__(self, key: str, what: str) -> None:
        self.key = key
        super().__init__(f"Snapshot object {key}: {what}")


class SetupError(NirantarError):
    """The operator's directory, key or configuration is not usable; the sentence says what to do."""


class DirectoryInUse(SetupError):
    """Another process holds the directory's lock."""


class ConfigInvalid(SetupError):
    """A setting is missing, unknown or out of its bounds; the sentence names file, setting and bounds."""


class IdentityWrong(SetupError):
    """The identity does not open this vault."""


class FsyncFailed(NirantarError):
    """The disk refused to make bytes durable. What it now holds is unknown, so the process must exit.

    After a failed fsync the kernel may drop the dirty pages and report success next time
    (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
    """


@dataclass(slots=True)
class Finding:
    """One thing that verification found wrong: where it is, what it is, and whether it was healed."""

    where: str
    what: str
    kind: str = "damage"
    healed: bool = False
