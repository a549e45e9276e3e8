"""The buttons of a guided demo's strip."""

from __future__ import annotations

from starlette.responses import Response

from nirantar.edges.web.desk import Asked, Desk
from nirantar.edges.web.session import local_path
from nirantar.errors import NotFound


def press(desk: Desk, asked: Asked) -> Response:
    """Hand a pressed button to the demo. NotFound where none runs."""
    if desk.settings.demo is None:
        raise NotFound("No demo runs on this node.")
    return desk.go(local_path(desk.settings.demo.press(asked.parts["action"])))
