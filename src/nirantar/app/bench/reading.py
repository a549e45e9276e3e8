"""A read by id over HTTP, signed in and access-logged, against the same server that answers with constant bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from statistics import median
from typing import Final

from nirantar.app.bench.figure import Figure, compared
from nirantar.app.bench.ground import Ground, make_node, scratch_directory
from nirantar.app.bench.registrations import CLERK
from nirantar.app.bench.serving import CONSTANT_PATH, client, request, served
from nirantar.app.bench.synthetic import registration
from nirantar.app.node import Node
from nirantar.interactions.credentials import CREDENTIALS_FILE, Credentials
from nirantar.interactions.transaction import Purpose

NAME: Final = "read"
_PATIENTS: Final = 500
_ROUNDS: Final = 8
_ROUND_SECONDS: Final = 0.5


def reading(ground: Ground) -> Iterator[Figure]:
    """The share of the server's bare speed that is left for a read; rounds of both alternate, so that drift cancels."""
    with scratch_directory(ground.directory) as scratch:
        home = make_node(ground.host, scratch)
        node = Node(ground.host, home)
        try:
            node.start()
            futures = [
                node.doors.transact.submit(CLERK, registration(number), Purpose("register"))
                for number in range(_PATIENTS)
            ]
            patients = [future.result().results[0].version for future in futures]
        finally:
            node.close()
        with closing(Credentials(ground.host, home / CREDENTIALS_FILE)) as credentials:
            token = credentials.issue_token("doctor", "bench")
        body = next(each.resource for each in patients if each is not None and each.resource is not None)
        reads = [request(f"/fhir/Patient/{each.id}", token) for each in patients if each is not None]
        constants, found = [], []
        with served(home, body) as server, client() as caller:
            for _ in range(_ROUNDS):
                constants.append(caller.requests_per_second(server.port, [request(CONSTANT_PATH)], _ROUND_SECONDS))
                found.append(caller.requests_per_second(server.port, reads, _ROUND_SECONDS))
    share = median(mine / bare for mine, bare in zip(found[1:], constants[1:], strict=True)) * 100
    yield Figure(
        NAME, "read by id over HTTP, signed in, access-logged", share, "% of constant bytes", 50.0,
        "≥ 50 % of the same server returning constant bytes",
        "Routing, the token's hash, the look-up in SQLite and the note for the access log, all in one event loop.",
        f"{_PATIENTS} patients of {len(body):,} bytes over 8 connections, {_ROUNDS} rounds of each in turn",
        (compared(median(found[1:]), "requests/s: reads, against constant bytes", median(constants[1:])),),
    )
