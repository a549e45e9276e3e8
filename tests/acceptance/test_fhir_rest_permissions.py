"""Every route, for every role and for nobody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rest_client import RestClient, codes, document, open_node
from starlette.routing import Route

from nirantar.edges.fhir_rest import Permission, fhir_app, permission_matrix
from nirantar.interactions.authorize import ROLES, allowed

TYPES = ("Patient", "Observation", "Organization", "Invoice", "AuditEvent")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestClient]:
    """One node for all tests of this file."""
    directory: Path = tmp_path_factory.mktemp("node") / "opd-1"
    with open_node(directory) as node:
        client = RestClient(node)
        yield client
        client.close()


def path_of(permission: Permission, resource_type: str) -> str:
    """The route's path with a type and ids in it."""
    return (
        permission.path.replace("{type:fhir_type}", resource_type)
        .replace("{id:fhir_id}", "some-id")
        .replace("{version_id:fhir_id}", "opd-1.1")
    )


def test_the_matrix_lists_every_route(client: RestClient) -> None:
    """Each path of the application, asked with each method, answers 405 unless the matrix has it."""
    matrix = permission_matrix()
    routes = fhir_app(client.node.doors).routes
    assert {route.path for route in routes if isinstance(route, Route)} == {each.path for each in matrix}
    assert len(routes) == len({each.path for each in matrix})
    for path in {each.path for each in matrix}:
        listed = {each.method for each in matrix if each.path == path}
        for method in METHODS:
            response = client.call(method, path_of(Permission(method, path, "open"), "Patient"))
            answered = method in listed or (method == "HEAD" and "GET" in listed)
            assert (response.status_code != 405) == answered, (method, path)
            if response.status_code == 405:
                assert set(response.headers["allow"].split(", ")) >= listed
                assert method == "HEAD" or codes(response) == {"not-supported"}


@pytest.mark.parametrize("permission", permission_matrix(), ids=lambda each: f"{each.method} {each.path}")
def test_nobody_gets_only_what_is_open(client: RestClient, permission: Permission) -> None:
    """Without a token, or with a wrong one, all but the open routes answer 401 and say how to sign in."""
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic YTpi"}):
        response = client.call(permission.method, path_of(permission, "Patient"), role=None, headers=headers)
        if permission.access == "open":
            assert response.status_code == 200
        else:
            assert (response.status_code, codes(response)) == (401, {"login"})
            assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("role", ROLES)
def test_each_role_gets_what_its_rule_allows(client: RestClient, role: str) -> None:
    """A typed route answers 403 exactly where the role's rule does not allow its access to the type."""
    for permission in permission_matrix():
        for resource_type in TYPES:
            # A body that is refused as such, so that a permitted write does not depend on other rules.
            body = {"resourceType": resource_type, "id": "some-id", "nonsense": 1}
            sent = body if permission.method in ("PUT", "POST") and "_search" not in permission.path else None
            path = path_of(permission, resource_type)
            if permission.method in ("PUT", "DELETE") and "{id" not in permission.path:
                path += "?_id=some-id"
            response = client.call(permission.method, path, sent, role=role)
            if permission.access in ("read", "write"):
                may = allowed(role, permission.access, resource_type)  # type: ignore[arg-type]
                # A write by condition also asks for the right to read what the condition would find.
                may = may and ("?" not in path or allowed(role, "read", resource_type))
                assert (response.status_code != 403) == may, (role, permission, resource_type, response.text)
            if permission.access == "disclose" and resource_type == "Patient":
                asked = {"resourceType": "Parameters", "parameter": [{"name": "reason", "valueString": "test"}]}
                status = client.call(permission.method, path, asked, role=role).status_code
                assert status == (404 if ROLES[role].discloses else 403), role
            assert response.status_code < 500
            assert response.status_code != 401


@pytest.mark.parametrize("role", ROLES)
def test_each_entry_of_a_batch_is_held_to_the_role(client: RestClient, role: str) -> None:
    """Inside a batch every entry is allowed or refused as the same request by itself."""
    entries = [
        {"request": {"method": "GET", "url": f"{resource_type}/some-id"}} for resource_type in TYPES
    ] + [{"request": {"method": "DELETE", "url": f"{resource_type}/some-id"}} for resource_type in TYPES]
    response = client.call("POST", "", {"resourceType": "Bundle", "type": "batch", "entry": entries}, role=role)
    statuses = [int(entry["response"]["status"][:3]) for entry in document(response)["entry"]]
    wanted = [404 if allowed(role, "read", each) else 403 for each in TYPES]
    wanted += [204 if allowed(role, "write", each) else 403 for each in TYPES]
    assert statuses == wanted
