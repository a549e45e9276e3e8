"""The keeper's routes, and what each error is in HTTP.

    PUT  /vault/<key>                          store; 201, or 200 for the same bytes again
    GET  /vault/<key>                          an object, or `Range: bytes=a-b` of it
    GET  /vault/?prefix=…&after=…              keys, one a line, KEEPER_LIST_KEYS_MAX at most
    POST /add-checkpoint                       C2SP tlog-witness
    GET  /<hex of the origin's SHA-256>/checkpoint   the newest cosigned checkpoint
    GET  /status                               JSON; no patient data

Any other method on any path is 405 and an alarm.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from nirantar import limits
from nirantar.continuity.keeping.keeper import Keeper
from nirantar.edges.keeper_http.bodies import Bodies, declared_size, read_body
from nirantar.errors import (
    Conflict,
    Damaged,
    DiskFull,
    Forbidden,
    InvalidInput,
    LimitExceeded,
    NirantarError,
    NotFound,
    NotSignedIn,
    Overloaded,
    Unavailable,
    WitnessConflict,
)

_STATUSES: Final[tuple[tuple[type[NirantarError], int], ...]] = (
    (LimitExceeded, 413), (InvalidInput, 400), (NotSignedIn, 401), (Forbidden, 403), (NotFound, 404), (Conflict, 409),
    (Damaged, 422), (Overloaded, 429), (DiskFull, 507), (Unavailable, 503), (NirantarError, 500),
)
_SIZE_TYPE: Final = "text/x.tlog.size"
_RANGE: Final = re.compile(r"bytes=(?P<first>[0-9]{1,18})-(?P<last>[0-9]{0,18})")
_RETRY_SECONDS: Final = "5"

Handler = Callable[[Request], Awaitable[Response]]


def keeper_app(keeper: Keeper) -> Starlette:
    """The application for one keeper."""
    routes = _Routes(keeper)
    return Starlette(
        routes=[
            Route("/vault/{key:path}", _answered(routes.objects), methods=["GET", "PUT"]),
            Route("/add-checkpoint", _answered(routes.add_checkpoint), methods=["POST"]),
            Route("/status", _answered(routes.status), methods=["GET"]),
            Route("/{origin_sha256}/checkpoint", _answered(routes.checkpoint), methods=["GET"]),
            Route("/{path:path}", _answered(routes.elsewhere), methods=["GET"]),
        ],
        exception_handlers={405: routes.refuse_method},
    )


def refusal(error: NirantarError) -> Response:
    """An error's answer: its sentence, under its status."""
    if isinstance(error, WitnessConflict):
        return Response(f"{error.cosigned_size}\n", 409, media_type=_SIZE_TYPE)
    status = next(status for kind, status in _STATUSES if isinstance(error, kind))
    headers = {"Retry-After": _RETRY_SECONDS} if status in (429, 503) else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return PlainTextResponse(f"{error}\n", status, headers)


def _answered(handler: Handler) -> Handler:
    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except NirantarError as error:
            return refusal(error)

    return answered


class _Routes:
    """The handlers; whatever touches the disk runs in a thread."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._bodies = Bodies()

    async def objects(self, request: Request) -> Response:
        key = request.path_params["key"]
        if request.method == "PUT":
            return await self._put(request, key)
        return await run_in_threadpool(self._get if key else self._list, request, key)

    async def add_checkpoint(self, request: Request) -> Response:
        if _token(request) is None:
            await run_in_threadpool(self._keeper.require_slow, None)
        body = await read_body(request, limits.KEEPER_CHECKPOINT_BYTES_MAX)
        lines = await run_in_threadpool(self._keeper.add_checkpoint, body, _token(request))
        return Response(lines, media_type="text/plain; charset=utf-8")

    async def checkpoint(self, request: Request) -> Response:
        await run_in_threadpool(self._keeper.require_slow, _token(request))
        note = await run_in_threadpool(self._keeper.cosigned, request.path_params["origin_sha256"])
        return Response(note, media_type="text/plain; charset=utf-8")

    async def status(self, request: Request) -> Response:
        await run_in_threadpool(self._keeper.require_slow, _token(request))
        status = await run_in_threadpool(self._keeper.status)
        return Response(msgspec.json.encode(status), media_type="application/json")

    async def elsewhere(self, _: Request) -> Response:
        raise NotFound("A keeper has /vault/, /add-checkpoint, /status and /<hash of an origin>/checkpoint.")

    async def refuse_method(self, request: Request, _: Exception) -> Response:
        await run_in_threadpool(self._keeper.refuse_method, _token(request), request.method, request.url.path)
        return PlainTextResponse("A keeper only adds: there is no such method.\n", 405, {"Allow": "GET, PUT, POST"})

    async def _put(self, request: Request, key: str) -> Response:
        bearer = await run_in_threadpool(self._keeper.bearer, _token(request))
        size = declared_size(request)
        await run_in_threadpool(self._keeper.require_may_put, bearer, key, size)
        async with self._bodies.held(request, size) as data:
            if len(data) != size:
                raise InvalidInput("The body is shorter than its Content-Length.")
            fresh = await run_in_threadpool(self._keeper.put, bearer, key, data)
        return Response(status_code=201 if fresh else 200)

    def _get(self, request: Request, key: str) -> Response:
        bearer = self._keeper.bearer(_token(request))
        found = _RANGE.fullmatch(request.headers.get("range", ""))
        if found is None:
            return Response(self._keeper.get(bearer, key), media_type="application/octet-stream")
        first = int(found["first"])
        length = int(found["last"]) - first + 1 if found["last"] else None
        if length is not None and length < 1:
            raise InvalidInput("The range ends before it begins.")
        return Response(self._keeper.get(bearer, key, first, length), 206, media_type="application/octet-stream")

    def _list(self, request: Request, _: str) -> Response:
        bearer = self._keeper.bearer(_token(request))
        query = request.query_params
        keys = self._keeper.list(bearer, query.get("prefix", ""), query.get("after", ""))
        return PlainTextResponse("".join(f"{key}\n" for key in keys))


def _token(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
