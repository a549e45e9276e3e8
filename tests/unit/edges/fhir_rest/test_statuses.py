"""The table from errors to HTTP statuses."""

from __future__ import annotations

import pytest

from nirantar import errors
from nirantar.edges.fhir_rest.answers import of_error
from nirantar.edges.fhir_rest.statuses import HttpRefusal, headers_of, status_of
from nirantar.fhir import json

EXPECTED = {
    errors.InvalidInput: 400, errors.MalformedJson: 400, errors.UnknownSearchParameter: 400, errors.LimitExceeded: 400,
    errors.NotFound: 404, errors.Gone: 410, errors.Conflict: 409, errors.VersionConflict: 412,
    errors.MultipleMatches: 412, errors.BusinessRule: 422, errors.NotSignedIn: 401, errors.Forbidden: 403,
    errors.AccessDenied: 403, errors.Unavailable: 503, errors.Overloaded: 429, errors.DiskFull: 507,
    errors.ReadOnly: 503, errors.NotHereYet: 503, errors.VaultUnavailable: 503, errors.Damaged: 500, errors.ProofInvalid: 500,
    errors.SetupError: 500, errors.DirectoryInUse: 500, errors.ConfigInvalid: 500, errors.IdentityWrong: 500,
    errors.FsyncFailed: 500, errors.NirantarError: 500,
}
NEED_MORE_ARGUMENTS = {
    errors.ResourceInvalid, errors.FieldsInvalid, errors.EntryDamaged, errors.SegmentDamaged, errors.SnapshotDamaged,
    errors.WitnessConflict, HttpRefusal,
}


def every_class(root: type[errors.NirantarError]) -> set[type[errors.NirantarError]]:
    """The root and all below it."""
    return {root}.union(*(every_class(child) for child in root.__subclasses__()))


def test_every_error_of_the_tree_has_a_status_here() -> None:
    """A new class of error cannot arrive without a decision about its status."""
    own = {each for each in every_class(errors.NirantarError) if each.__module__ == errors.__name__}
    assert own - NEED_MORE_ARGUMENTS == set(EXPECTED)


@pytest.mark.parametrize(("error", "status"), EXPECTED.items())
def test_status_of_each_class(error: type[errors.NirantarError], status: int) -> None:
    """Each class gives the status that the table promises."""
    assert status_of(error("A sentence.")) == status


@pytest.mark.parametrize(("code", "status"), [("structure", 400), ("value", 422), ("required", 422), ("invariant", 422)])
def test_status_of_an_invalid_resource(code: str, status: int) -> None:
    """Broken structure is 400, broken rules are 422."""
    assert status_of(errors.ResourceInvalid((errors.Issue(code, "A rule."),))) == status


def test_status_of_a_refused_form() -> None:
    """Fields that a workflow refuses break a rule, not the structure: 422."""
    assert status_of(errors.FieldsInvalid({"name": "Give a name."})) == 422


def test_headers_that_a_status_requires() -> None:
    """401 says how to sign in, 429 and 503 when to come back, 405 what is allowed."""
    assert headers_of(errors.NotSignedIn("x"), 401)[0][0] == b"www-authenticate"
    assert headers_of(errors.Overloaded("x"), 429)[0][0] == b"retry-after"
    assert headers_of(errors.ReadOnly("x"), 503)[0][0] == b"retry-after"
    assert headers_of(HttpRefusal(405, "not-supported", "x", ((b"allow", b"GET"),)), 405) == ((b"allow", b"GET"),)


@pytest.mark.parametrize(
    "error", [ValueError("Asha Sharma"), errors.Damaged("Asha Sharma"), errors.EntryDamaged("origin", 3, "Asha Sharma")]
)
def test_an_unforeseen_error_says_nothing(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    """500 carries an OperationOutcome and no word of the error; the log has its class, not its message."""
    answer = of_error(error)
    assert answer.status == 500
    assert json.decode(answer.body)["issue"][0]["code"] == "exception"
    logged = capsys.readouterr()
    assert "Asha" not in answer.body.decode() + logged.out + logged.err
    assert type(error).__name__ in logged.out + logged.err
