"""A process that changes a lazily filled database until it is killed: run by test_lazy_file_kill_nine.py.

    python lazy_victim.py PLACE SEED DIE_AT

It goes on where the database stands, one numbered change after another, while a second thread fills. At the DIE_AT-th
of its steps towards the disk (pages stored, a page written, a sync, a block of the bitmap) it kills itself, and at the
latest when everything is here; 0: only then.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from random import Random
from threading import Lock, Thread
from typing import Any

import apsw

from frozen_pages import FrozenPages
from lazy_twins import change, frozen_image, prepared
from nirantar.host import lazy_pages
from nirantar.host.lazy_vfs import LazyVfsFile
from nirantar.host.real import RealHost


class Death:
    """Counts steps, and ends the process before or after the one that was chosen."""

    def __init__(self, at: int, random: Random) -> None:
        self.left = at
        self.after = random.random() < 0.5
        self.lock = Lock()

    def around(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """`step`, counted."""
        def counted(*arguments: Any) -> Any:
            with self.lock:
                self.left -= 1
                dying = self.left == 0
            if dying and not self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = step(*arguments)
            if dying:
                os.kill(os.getpid(), signal.SIGKILL)
            return result
        return counted


def main(place: Path, seed: int, die_at: int) -> None:
    """Change and fill."""
    death = Death(die_at, Random(seed))
    LazyVfsFile.xWrite = death.around(LazyVfsFile.xWrite)  # type: ignore[method-assign]
    LazyVfsFile.xSync = death.around(LazyVfsFile.xSync)  # type: ignore[method-assign]
    lazy_pages.LazyPages._store = death.around(lazy_pages.LazyPages._store)  # type: ignore[method-assign]
    lazy_pages.os.pwrite = death.around(os.pwrite)  # type: ignore[assignment]
    source = FrozenPages(frozen_image(), frame_pages=3)
    file = RealHost().lazy_database(place / "lazy.db", source, "frozen")
    connection = prepared(file.connect())

    def fill() -> None:
        page = 0
        while (found := file.next_absent(page)) is not None:
            file.bring(found)
            page = found
            time.sleep(0.002)
            if found % 7 == 0:
                file.settle()
        file.settle()

    filler = Thread(target=fill, daemon=True)
    sys.stdout.write("started\n")
    sys.stdout.flush()
    for number in count(1 + int(str(connection.execute("SELECT number FROM step").get))):
        change(connection, Random(number), number)
        if number % 2 == 0:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        if number % 5 == 0 and not filler.ident:
            filler.start()
        if file.complete:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
