"""Real processes of a scratch hospital: each in a group of its own, ended by its id, none left behind, none awaited
without a bound."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from nirantar import limits
from nirantar.app.drill.calls import LOOPBACK, call
from nirantar.errors import SetupError, Unavailable

_POLL_SECONDS: Final = 0.01
_LOG_CHARS_SHOWN: Final = 600


class Program:
    """One running process. Use it as a context: leaving it kills the whole group."""

    def __init__(
        self, module: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start `python -m module arguments` with this added to the environment; what it prints goes to `log`."""
        self.module = module
        self._log = log
        quiet = {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - no shell, our own module
                [sys.executable, "-m", module, *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, env={**os.environ, **quiet, **(environment or {})},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def kill(self) -> float:
        """kill -9 for the whole group; the monotonic time at which that was sent."""
        at = time.monotonic()
        if self.running:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        return at

    def end(self) -> None:
        """Ask it to finish (TERM); kill it if it does not within DRILL_STEP_SECONDS_MAX."""
        if self.running:
            self._process.terminate()
        try:
            self._process.wait(limits.DRILL_STEP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()

    def require_running(self) -> None:
        """Raise SetupError with the end of its log if it has ended."""
        if not self.running:
            raise SetupError(f"{self.module} ended with code {self._process.returncode}: {_tail(self._log)}")


def run(
    arguments: Sequence[str], log: Path, *, codes: tuple[int, ...] = (0,), environment: Mapping[str, str] | None = None
) -> Any:
    """Run `nirantar arguments`, which must end with one of `codes` and print one JSON object: that object.

    Raises SetupError with the end of its log, Unavailable when it takes longer than DRILL_STEP_SECONDS_MAX.
    """
    with log.open("ab") as errors:
        process = subprocess.Popen(  # noqa: S603 - no shell, our own module
            [sys.executable, "-m", "nirantar.cli", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=errors, start_new_session=True, env={**os.environ, **(environment or {})},
        )
        try:
            printed, _ = process.communicate(timeout=limits.DRILL_STEP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise Unavailable(
                f"nirantar {arguments[0]} takes longer than {limits.DRILL_STEP_SECONDS_MAX:.0f} s "
                "(DRILL_STEP_SECONDS_MAX)."
            ) from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if process.returncode not in codes:
        raise SetupError(f"nirantar {arguments[0]} ended with code {process.returncode}: {_tail(log)}")
    return msgspec.json.decode(printed)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def choose_port(wanted: int | None, usual: int) -> int:
    """The wanted port; without one the usual port, or a free one when that is taken. Raises SetupError when the wanted
    one is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, usual if wanted is None else wanted))
        except (OSError, OverflowError) as reason:
            if wanted is None:
                return free_port()
            raise SetupError(f"Port {wanted} cannot be used ({reason}). Choose another with --port.") from None
        return int(probe.getsockname()[1])


def wait_healthy(port: int, program: Program) -> dict[str, Any]:
    """What `/health` says once the node serves. Raises SetupError when it ends instead, Unavailable when it takes
    longer than DRILL_STEP_SECONDS_MAX."""
    stop = time.monotonic() + limits.DRILL_STEP_SECONDS_MAX
    while time.monotonic() < stop:
        program.require_running()
        found = health(port)
        if found is not None:
            return found
        time.sleep(_POLL_SECONDS)
    raise Unavailable(f"The node does not serve after {limits.DRILL_STEP_SECONDS_MAX:.0f} s (DRILL_STEP_SECONDS_MAX).")


def health(port: int) -> dict[str, Any] | None:
    """What `/health` says, or None while nobody answers."""
    answer = call(port, "GET", "/health", seconds=limits.DRILL_HEALTH_SECONDS_MAX)
    return None if answer is None or answer.status != 200 else dict(msgspec.json.decode(answer.body))


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-_LOG_CHARS_SHOWN:].strip() or "it said nothing"
