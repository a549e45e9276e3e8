"""What every handler works with: the node's doors, the settings, and one way to make a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from nirantar.edges.web.patient_view import PatientView, patient_view
from nirantar.edges.web.settings import WebSettings
from nirantar.errors import NotFound
from nirantar.host.times import from_instant, instant
from nirantar.interactions.authorize import ROLES, Caller
from nirantar.interactions.doors import Doors
from nirantar.workflows.registration import Place

SEE_OTHER: Final = 303


@dataclass(slots=True)
class Asked:
    """One request, read and checked: `caller` is signed in and his role may use the page (None on public pages).

    `secret` is the cookie's; a handler that changes it sets `new_secret`.
    """

    path: str
    parts: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]
    secret: str
    token: str
    signed_in: Caller | None
    workstation: str
    new_secret: str | None = None

    @property
    def caller(self) -> Caller:
        """Who asks, on pages that are not public."""
        if self.signed_in is None:
            raise AssertionError("a page that needs a caller is marked public")
        return self.signed_in


@dataclass(slots=True)
class Desk:
    """One web desk."""

    doors: Doors
    settings: WebSettings
    menu: tuple[tuple[str, str, frozenset[str]], ...] = ()
    _templates: Environment = field(init=False)

    def __post_init__(self) -> None:
        self._templates = Environment(
            loader=PackageLoader("nirantar.edges.web", "templates"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True, auto_reload=False,
        )
        self._templates.filters["grouped"] = grouped
        self._templates.filters["moment"] = self.moment
        self._templates.filters["moment_text"] = self.moment_text
        self._templates.globals["asset"] = asset
        # All are compiled now: a broken one shows at start, and no worker thread compiles (CPython 3.11's compiler
        # keeps its recursion depth for all threads together and can fail when two compile at once).
        for name in self._templates.list_templates():
            self._templates.get_template(name)

    @property
    def zone(self) -> timezone:
        """The hospital's time zone."""
        return timezone(timedelta(minutes=self.settings.utc_offset_minutes))

    def local_date(self) -> date:
        """The hospital's calendar date."""
        return datetime.fromtimestamp(self.settings.host.now_us() / 1_000_000, UTC).astimezone(self.zone).date()

    def place(self) -> Place:
        """Where and when a workflow decides."""
        return Place(self.settings.uhid_system, self.local_date(), instant(self.settings.host.now_us()))

    def moment(self, time_us: int) -> str:
        """A time as people read it: `23 Nov 2026, 14:05`."""
        local = datetime.fromtimestamp(time_us / 1_000_000, UTC).astimezone(self.zone)
        return f"{local.day} {local:%b %Y, %H:%M}"

    def moment_text(self, text: str) -> str:
        """A FHIR date or dateTime as people read it, with the precision that it has; as it stands if it is neither."""
        try:
            if len(text) > 10:
                return self.moment(from_instant(text))
            if len(text) == 10:
                day = date.fromisoformat(text)
                return f"{day.day} {day:%b %Y}"
        except ValueError:
            return text
        return text

    def patient(self, resource: Mapping[str, Any]) -> PatientView:
        """A Patient resource as pages show it today."""
        return patient_view(resource, self.settings.uhid_system, self.local_date())

    def name_of(self, actor: str) -> str:
        """The name behind `staff:<login>`; the actor itself for anybody else."""
        kind, _, login = actor.partition(":")
        if kind != "staff":
            return actor
        try:
            return self.doors.accounts.get(login).name
        except NotFound:
            return login

    def page(self, asked: Asked, template: str, *, status: int = 200, **context: Any) -> Response:
        """An HTML page."""
        caller = asked.signed_in
        role = "" if caller is None else caller.role
        demo = self.settings.demo
        html = self._templates.get_template(template).render(
            hospital=self.settings.hospital, node=self.doors.status(), caller=caller, path=asked.path,
            role_title=ROLES[role].title if role in ROLES else role, token=asked.token,
            menu=[(path, label) for path, label, roles in self.menu if role in roles],
            demo=None if demo is None else demo.state(), **context,
        )
        return HTMLResponse(html, status)

    @staticmethod
    def go(path: str) -> Response:
        """After a change: to the page that shows it, so that reloading repeats nothing."""
        return RedirectResponse(path, SEE_OTHER)


def grouped(number: str) -> str:
    """A long number in groups of four, for reading aloud."""
    return " ".join(number[start:start + 4] for start in range(0, len(number), 4)) if number.isdigit() else number


def asset(name: str) -> str:
    """The address of a static file, which changes with its content."""
    return _ASSETS[name]


_ASSETS: Final = {
    each.name: f"/static/{each.name}?v={sha256(each.read_bytes()).hexdigest()[:12]}"
    for each in files("nirantar.edges.web").joinpath("static").iterdir()
    if each.is_file()
}
