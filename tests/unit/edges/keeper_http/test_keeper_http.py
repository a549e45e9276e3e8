"""The keeper's paths: what each error is in HTTP, and that hostile requests get a clear answer and change nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from hashlib import sha256

import pytest
from starlette.requests import Request

from asgi_client import AsgiClient
from kept_log import KeptLog, kept
from nirantar.app.keeping import KeeperHouse
from nirantar.continuity.keeping.quota import Allowance
from nirantar.edges.keeper_http import keeper_app
from nirantar.edges.keeper_http.bodies import Bodies
from nirantar.errors import Overloaded
from nirantar.limits import KEEPER_STRANGER_CALLS_BURST

LOG = KeptLog()


@pytest.fixture
def house() -> Iterator[KeeperHouse]:
    """A keeper that has cosigned 20 entries, and takes few bytes at a time."""
    allowance = Allowance(bytes_max=1 << 40, bytes_burst=300_000_000, bytes_a_second=1, calls_burst=10_000)
    with kept(allowance=allowance) as (_, found):
        found.keeper.add_checkpoint(LOG.submission(0, 20), None)
        yield found


@pytest.fixture
def client(house: KeeperHouse) -> AsgiClient:
    """Somebody with the node's token."""
    return AsgiClient(keeper_app(house.keeper), house.keeper.add_token("node", "opd"))


def test_put_get_and_list(client: AsgiClient) -> None:
    """201, 200 for the same again, 409 for others; whole and in ranges; keys one a line, after any."""
    key, data = LOG.key(0, 20), LOG.segment(0, 20, 20)
    assert [client.request("PUT", f"/vault/{key}", each).status for each in (data, data, b"x")] == [201, 200, 409]
    assert client.request("GET", f"/vault/{key}").body == data
    assert client.request("GET", f"/vault/{key}", range="bytes=5-9").body == data[5:10]
    assert client.request("GET", f"/vault/{key}", range="bytes=5-").body == data[5:]
    assert client.request("GET", f"/vault/{key}", range="bytes=9-5").status == 400
    assert client.request("GET", "/vault/?prefix=opd/").text == f"{key}\n"
    assert client.request("GET", f"/vault/?prefix=opd/&after={key}").text == ""


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/vault/opd/live/000000000099-1.segment", 404), ("/vault/opd/live/..%2f..%2fkeeper.json", 400),
        ("/vault/opd//x", 400), ("/vault/OPD/x", 400), ("/vault/opd/%00", 400), ("/vault/opd/" + "x/" * 400 + "x", 400),
        ("/vault/?prefix=ward/", 403), ("/vault/?prefix=../", 403), ("/vault/?prefix=opd/../../", 400), ("/status", 200),
        ("/elsewhere", 404), ("/", 404), ("/0/checkpoint", 404), ("/vault", 404),
    ],
)
def test_paths(client: AsgiClient, path: str, status: int) -> None:
    """Nothing outside the bearer's part can be named, and every answer is a sentence or what was asked for."""
    answer = client.request("GET", path)
    assert answer.status == status
    assert answer.text.strip()


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "POST", "MOVE", "PURGE", "OPTIONS", "x"])
def test_any_other_method_is_405_and_an_alarm(house: KeeperHouse, client: AsgiClient, method: str) -> None:
    """Nothing that could take away has a path."""
    assert client.request(method, "/vault/hospital.json").status == 405
    assert [(alarm.kind, alarm.node) for alarm in house.keeper.status().alarms] == [("delete", "opd")]


def test_a_put_declares_its_size_and_keeps_to_it(client: AsgiClient) -> None:
    """Without a length, or with another than it has, 400; over what its kind may have 413; too fast 429 with a time to
    wait, before the body is read."""
    key = f"/vault/opd/attachment/{'a' * 64}"
    assert client.request("PUT", key, b"x", declared=-1).status == 400
    assert client.request("PUT", key, b"x", declared=2).status == 400
    assert client.request("PUT", key, b"xxx", declared=2).status == 413
    assert client.request("PUT", "/vault/hospital.json", declared=2_000_000).status == 413
    answers = [client.request("PUT", key, b"x", declared=60_000_000) for _ in range(5)]
    assert [answer.status for answer in answers] == [400, 400, 400, 400, 429]
    assert answers[-1].headers["retry-after"] == "5"


def test_the_witness_in_http(client: AsgiClient) -> None:
    """200 with two lines, 409 with the size as its own media type, 400 and 413 for what is no submission."""
    assert len(client.request("POST", "/add-checkpoint", LOG.submission(20, 30)).text.splitlines()) == 2
    conflict = client.request("POST", "/add-checkpoint", LOG.submission(20, 40))
    assert (conflict.status, conflict.text) == (409, "30\n")
    assert conflict.headers["content-type"].startswith("text/x.tlog.size")
    assert client.request("POST", "/add-checkpoint", b"old 0\n\nx").status == 404
    assert client.request("POST", "/add-checkpoint", b"\xff" * 100).status == 400
    assert client.request("POST", "/add-checkpoint", b"x" * 100_000).status == 413


def test_no_token_is_401_with_the_scheme(house: KeeperHouse) -> None:
    """Objects need a token; the witness and the status do not."""
    nobody = AsgiClient(keeper_app(house.keeper))
    for method, path in (("GET", "/vault/hospital.json"), ("PUT", "/vault/hospital.json"), ("GET", "/vault/")):
        answer = nobody.request(method, path, b"x")
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert json.loads(nobody.request("GET", "/status").body)["roster_serial"] == 1
    assert nobody.request("POST", "/add-checkpoint", LOG.submission(20, 21)).status == 200


def test_a_flood_without_tokens_is_refused_and_slows_no_node(client: AsgiClient, house: KeeperHouse) -> None:
    """Status, newest checkpoint and add-checkpoint share one rate for all who show no token, or one that was never
    issued; the node's calls have their own. The flood is one alarm."""
    nobody = AsgiClient(keeper_app(house.keeper), None)
    checkpoint = f"/{sha256(LOG.origin.encode()).hexdigest()}/checkpoint"
    paths = ("/status", checkpoint)
    answers = [nobody.request("GET", paths[number % 2]).status for number in range(KEEPER_STRANGER_CALLS_BURST)]
    assert set(answers) == {200}
    for guess in (nobody, AsgiClient(keeper_app(house.keeper), "a guess")):
        for path in paths:
            refused = guess.request("GET", path)
            assert (refused.status, refused.headers["retry-after"]) == (429, "5")
            assert "KEEPER_STRANGER_CALLS_A_SECOND" in refused.text
    assert nobody.request("POST", "/add-checkpoint", LOG.submission(20, 21)).status == 429
    assert client.request("GET", "/status").status == client.request("GET", checkpoint).status == 200
    assert client.request("POST", "/add-checkpoint", LOG.submission(20, 21)).status == 200
    assert [(alarm.kind, alarm.node) for alarm in house.keeper.status().alarms] == [("flood", "")]


def test_the_status_says_nothing_of_patients_and_no_secret(client: AsgiClient) -> None:
    """Names of nodes, sizes, times and alarms: no key, no token, no object."""
    client.request("PUT", f"/vault/{LOG.key(0, 20)}", LOG.segment(0, 20, 20))
    shown = client.request("GET", "/status").text
    assert set(json.loads(shown)) == {
        "ok", "hospital", "name", "vkeys", "roster_serial", "logs", "free_bytes", "alarms", "mirror",
    }
    assert "PRIVATE" not in shown
    assert str(client.token) not in shown


def test_held_bodies_are_bounded() -> None:
    """More bytes on their way than the limit are refused at once, and given back at the end."""
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"x" * 60, "more_body": False}

    async def hold() -> None:
        bodies = Bodies(bytes_max=100)
        request = Request({"type": "http", "headers": []}, receive)
        async with bodies.held(request, 60) as data:
            assert len(data) == 60
            with pytest.raises(Overloaded, match="KEEPER_BODIES_BYTES_MAX"):
                async with bodies.held(request, 60):
                    raise AssertionError("too much was let in")
        async with bodies.held(Request({"type": "http", "headers": []}, receive), 60) as data:
            assert len(data) == 60

    asyncio.run(hold())
