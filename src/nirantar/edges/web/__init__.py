"""The desk in a browser: plain HTML pages that work without script, for staff who sign in."""

from nirantar.edges.web.application import web_app
from nirantar.edges.web.settings import DemoButton, DemoState, DemoStrip, WebSettings

__all__ = ["DemoButton", "DemoState", "DemoStrip", "WebSettings", "web_app"]
