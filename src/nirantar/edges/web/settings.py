"""What the web desk must be told, and the hook by which a guided demo puts a strip on every page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from starlette.routing import BaseRoute

from nirantar.host.port import Host
from nirantar.interactions.authorize import Caller

DEPARTMENTS: Final = (
    "General Medicine", "Cardiology", "Dermatology", "Emergency", "ENT", "Eye", "General Surgery", "Neurology",
    "Obstetrics and Gynaecology", "Orthopaedics", "Paediatrics", "Psychiatry",
)
INDIA_OFFSET_MINUTES: Final = 330


@dataclass(frozen=True, slots=True)
class DemoButton:
    """A button of the strip: it posts to `/demo/<action>`. `danger` paints it as what it is."""

    action: str
    label: str
    danger: bool = False


@dataclass(frozen=True, slots=True)
class DemoState:
    """What the strip says now: step `step` of `steps`, one sentence of what to do or what just happened, `lines` of
    proof below it. With `watch` the page asks `/health` four times a second, counts the seconds in which nobody
    answers, and loads itself again when somebody does."""

    step: int
    steps: int
    title: str
    text: str
    lines: tuple[str, ...] = ()
    buttons: tuple[DemoButton, ...] = ()
    watch: bool = False


class DemoStrip(Protocol):
    """A guided demo. The web desk calls it in worker threads; the demo command implements it."""

    def state(self) -> DemoState | None:
        """The strip for the next page; None shows none."""

    def press(self, action: str) -> str:
        """A button was pressed (its form's token was checked): do it, and return the path to show next. Raises
        NotFound for an action that is not offered now."""

    def visitor(self) -> Caller | None:
        """Who a visitor without a session is: a demo on loopback may sign him in by itself. None: he signs in."""

    def routes(self) -> Sequence[BaseRoute]:
        """Further routes of the demo, all below `/demo/`."""


@dataclass(frozen=True, slots=True)
class WebSettings:
    """`uhid_system` is the identifier system of the hospital's patient numbers; `secure_cookies` is true wherever
    browsers reach the desk by https; times are shown `utc_offset_minutes` east of UTC."""

    host: Host
    hospital: str
    uhid_system: str
    secure_cookies: bool
    departments: tuple[str, ...] = DEPARTMENTS
    utc_offset_minutes: int = INDIA_OFFSET_MINUTES
    demo: DemoStrip | None = None
