"""The demo's address: passes every request on to the node, and answers in its place while it is dead.

The demo's own pages lie below `/demo/` and are always answered here. A POST there goes to the node first, which checks
the form's token; only the redirect of a genuine press sets the supervisor in motion.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any, Final

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from nirantar import limits
from nirantar.app.demo.strip import STEPS
from nirantar.app.demo.supervisor import HOSPITAL, Supervisor
from nirantar.app.drill.calls import call
from nirantar.app.drill.scratch import NODE
from nirantar.continuity.drill.comparison import HEADINGS, TITLE, comparison
from nirantar.continuity.drill.yardstick import HONEST_LINE
from nirantar.edges.web.application import Headers
from nirantar.edges.web.desk import SEE_OTHER, asset
from nirantar.errors import LimitExceeded, NirantarError, NotFound
from nirantar.tlog.proof import PROOF_SUFFIX

_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "te", "upgrade"})
_REGISTERED: Final = re.compile(r"/patients/([A-Za-z0-9.-]{1,64})\?new=yes")
_PRESSED: Final = re.compile(r"/demo/([a-z]+)")
_HEARTBEAT: Final = "/health"


def public_app(supervisor: Supervisor) -> Starlette:
    """What the visitor's browser speaks to."""
    pages = _Pages(supervisor)
    own = Starlette(routes=_own_routes(pages), middleware=[Middleware(Headers)])
    desk = files("nirantar.edges.web").joinpath("static")
    routes: list[BaseRoute] = [
        Mount("/static", Starlette(
            routes=[Mount("/", StaticFiles(directory=str(desk)))], middleware=[Middleware(Headers)],
        )),
        Route("/demo/{page:path}", _GetOnly(own), methods=["GET"]),
        Route("/{path:path}", _forwarding(supervisor), methods=["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"]),
    ]
    return Starlette(routes=routes)


class _GetOnly:
    """An application as an endpoint, so that other methods on the same path go on to the node."""

    def __init__(self, app: Starlette) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


def _own_routes(pages: _Pages) -> list[BaseRoute]:
    static = files("nirantar.app.demo").joinpath("static")
    return [
        Route("/demo/attack", pages.attack),
        Route("/demo/progress", pages.progress),
        Route("/demo/proof", pages.proof),
        Route("/demo/entry", pages.entry),
        Route("/demo/entry" + PROOF_SUFFIX, pages.proof_file),
        Route("/demo/flip", pages.flip),
        Route("/demo/promises", pages.promises),
        Mount("/demo/static", StaticFiles(directory=str(static))),
    ]


def _forwarding(supervisor: Supervisor) -> Any:
    async def forward(request: Request) -> Response:
        try:
            body = await _body(request)
        except LimitExceeded as failure:
            return JSONResponse({"ok": False, "sentence": str(failure)}, 413)
        if not supervisor.away:
            answered = await run_in_threadpool(_pass_on, supervisor, request, body)
            if answered is not None:
                return answered
        if request.url.path != _HEARTBEAT:
            supervisor.count_refused()
        if request.method == "GET" and "text/html" in request.headers.get("accept", "") and supervisor.away:
            return RedirectResponse("/demo/attack", SEE_OTHER)
        return JSONResponse({"ok": False, "phase": supervisor.progress.phase}, 503, {"retry-after": "1"})

    return forward


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limits.REQUEST_BYTES_MAX:
            raise LimitExceeded(f"The request is over {limits.REQUEST_BYTES_MAX} bytes (REQUEST_BYTES_MAX).")
    return bytes(body)


def _pass_on(supervisor: Supervisor, request: Request, body: bytes) -> Response | None:
    """The node's answer; None when it gave none."""
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    headers = {name: value for name, value in request.headers.items() if name not in _HOP_BY_HOP}
    answer = call(
        supervisor.port, request.method, target, seconds=limits.WRITE_WAIT_SECONDS_MAX + 5, headers=headers,
        body=body or None,
    )
    if answer is None:
        return None
    if request.method == "POST" and answer.status == SEE_OTHER:
        _take_note(supervisor, request.url.path, answer.header("location"))
    response = Response(answer.body, answer.status)
    response.raw_headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in answer.headers if name.lower() not in _HOP_BY_HOP
    ]
    if request.method != "HEAD":
        response.headers["content-length"] = str(len(answer.body))
    return response


def _take_note(supervisor: Supervisor, path: str, location: str) -> None:
    """What a successful form of the desk means for the demo."""
    registered, pressed = _REGISTERED.fullmatch(location), _PRESSED.fullmatch(location)
    if path == "/patients/new" and registered:
        supervisor.registered(registered[1])
    elif pressed and path == location:
        supervisor.press(pressed[1])


class _Pages:
    """The demo's own pages, in the desk's style."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._templates = Environment(
            loader=PackageLoader("nirantar.app.demo", "templates"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True, auto_reload=False,
        )
        self._templates.globals |= {"asset": asset, "hospital": HOSPITAL, "steps": STEPS}

    def attack(self, _: Request) -> Response:
        """The files turn `.locked`, the seconds run, and the way back opens."""
        if self._supervisor.progress.phase == "open":
            return RedirectResponse("/", SEE_OTHER)
        return self._page("attack.html", **self._progress())

    def progress(self, _: Request) -> Response:
        """The same as JSON, for the page's script."""
        return JSONResponse(self._progress(), headers={"cache-control": "no-store"})

    def _progress(self) -> dict[str, Any]:
        progress = self._supervisor.progress
        return {
            "phase": progress.phase, "sentence": progress.sentence, "seconds": progress.seconds(),
            "files": self._supervisor.place.files_of_the_node(), "patient": self._supervisor.patient,
        }

    async def proof(self, _: Request) -> Response:
        """The path from the visitor's entry to the signed root."""
        try:
            proof = await run_in_threadpool(self._supervisor.proof)
        except NirantarError as failure:
            return self._failure(failure)
        text = msgspec.json.format(proof.entry, indent=2).decode()
        return self._page("proof.html", proof=proof, text=text, patient=self._supervisor.patient)

    async def entry(self, _: Request) -> Response:
        """The entry's exact bytes, for the browser to hash by itself."""
        try:
            proof = await run_in_threadpool(self._supervisor.proof)
        except NirantarError as failure:
            return self._failure(failure)
        return Response(proof.entry, media_type="application/json")

    async def proof_file(self, _: Request) -> Response:
        """The proof as a file (C2SP tlog-proof)."""
        try:
            proof = await run_in_threadpool(self._supervisor.proof)
        except NirantarError as failure:
            return self._failure(failure)
        name = f"{NODE}-{proof.entry_index}{PROOF_SUFFIX}"
        return Response(proof.file, headers={
            "content-type": "text/plain; charset=utf-8", "content-disposition": f'attachment; filename="{name}"',
        })

    def flip(self, _: Request) -> Response:
        """What verification says of the flipped byte; the page asks again until it has."""
        return self._page(
            "flip.html", findings=self._supervisor.findings, flipped_at=self._supervisor.flipped_at,
            patient=self._supervisor.patient,
        )

    def promises(self, _: Request) -> Response:
        """The table beside 2022."""
        report = self._supervisor.report
        if report is None:
            return self._failure(NotFound("Nothing was attacked yet."))
        return self._page(
            "promises.html", title=TITLE, headings=HEADINGS, rows=comparison(report), red=report.red,
            broken=report.broken, honest=HONEST_LINE, patient=self._supervisor.patient,
        )

    def _failure(self, failure: NirantarError) -> Response:
        return self._page("failure.html", status=404, sentence=str(failure))

    def _page(self, template: str, *, status: int = 200, **context: Any) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(**context), status)
