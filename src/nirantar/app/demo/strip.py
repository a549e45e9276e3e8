"""The strip above every page of the demo's node. The supervisor writes what it says; the node shows it.

A button's form posts to the node, which checks the form's token. The supervisor, through which every request passes,
sees the redirect that only a genuine press gets, and acts. So no further door into the supervisor is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from starlette.routing import BaseRoute

from nirantar.edges.web import DemoButton, DemoState
from nirantar.errors import NotFound
from nirantar.interactions.authorize import Caller

STEPS: Final = 4
ATTACK: Final = DemoButton("attack", "Attack this hospital", danger=True)
PROOF: Final = DemoButton("proof", "See the proof")
FLIP: Final = DemoButton("flip", "Flip one byte", danger=True)
PROMISES: Final = DemoButton("promises", "What was promised")
CLERK: Final = Caller("staff:demo", "Visitor (you)", "registration-clerk", "web:demo")


class FileStrip:
    """A DemoStrip that reads its state from a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def state(self) -> DemoState | None:
        """What the supervisor wrote last."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=DemoState)
        except FileNotFoundError:
            return None

    def press(self, action: str) -> str:
        """The supervisor's page for this action. Raises NotFound when the strip does not offer it now."""
        state = self.state()
        if state is None or action not in {button.action for button in state.buttons}:
            raise NotFound("This step of the demo is over, or not yet reached.")
        return f"/demo/{action}"

    def visitor(self) -> Caller | None:
        """Everybody who opens the demo is its registration clerk."""
        return CLERK

    def routes(self) -> Sequence[BaseRoute]:
        """None: the demo's own pages are the supervisor's, since they must outlive the node."""
        return ()


def write_strip(path: Path, state: DemoState) -> None:
    """Change what the strip says, in one step."""
    half = path.with_name(path.name + ".new")
    half.write_bytes(msgspec.json.encode(state))
    half.rename(path)
