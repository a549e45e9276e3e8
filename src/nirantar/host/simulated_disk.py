"""A disk that forgets, by seed, what nobody fsynced.

It keeps two truths: what a running program sees and what would be there after the power fails. A crash decides, for
every write since a file's last fsync, whether it was kept, lost or torn at 512-byte sectors, and for every directory
change since the directory's last fsync whether it happened: each alone, in no order, as file systems promise none
(Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

SECTOR_BYTES: Final = 512

_ROOT: Final = Path("/")

PathPredicate = Callable[[Path], bool]


class SimulatedCrash(BaseException):
    """The machine lost power. Only a test catches it: a program that would handle it is not there any more."""


@dataclass(frozen=True, slots=True)
class _Write:
    offset: int
    data: bytes

    def apply(self, content: bytearray) -> None:
        end = self.offset + len(self.data)
        if len(content) < end:
            content.extend(bytes(end - len(content)))
        content[self.offset : end] = self.data

    def apply_torn(self, content: bytearray, random: Random) -> None:
        """Some sectors only; the file may have its new length all the same, with zeros."""
        end = self.offset + len(self.data)
        if random.random() < 0.5 and len(content) < end:
            content.extend(bytes(end - len(content)))
        start = self.offset
        while start < end:
            stop = min(end, start - start % SECTOR_BYTES + SECTOR_BYTES)
            if random.random() < 0.5:
                _Write(start, self.data[start - self.offset : stop - self.offset]).apply(content)
            start = stop


@dataclass(frozen=True, slots=True)
class _Truncate:
    size: int

    def apply(self, content: bytearray) -> None:
        if len(content) < self.size:
            content.extend(bytes(self.size - len(content)))
        del content[self.size :]

    def apply_torn(self, content: bytearray, random: Random) -> None:
        if random.random() < 0.5:
            self.apply(content)


@dataclass(slots=True, eq=False)
class SimulatedFile:
    """The bytes of a file (not its name): `content` as programs see it, the rest as the platter has it.

    `inode` is its number: given when the file gets its first name, never to another file.
    """

    content: bytearray = field(default_factory=bytearray)
    mode: int = 0o600
    inode: int = 0
    _durable: bytearray = field(default_factory=bytearray)
    _pending: list[_Write | _Truncate] = field(default_factory=list)

    def change(self, change: _Write | _Truncate) -> None:
        """Write or truncate, not yet durably."""
        change.apply(self.content)
        self._pending.append(change)

    def sync(self) -> None:
        """Make everything durable."""
        for change in self._pending:
            change.apply(self._durable)
        self._pending.clear()

    def fail_sync(self) -> None:
        """What Linux does after a write-back error: the pages count as clean, the disk never got them."""
        self._pending.clear()

    def survivor(self, random: Random) -> SimulatedFile:
        """The file as found after a crash."""
        content = bytearray(self._durable)
        luck = random.choice((0.0, 0.5, 1.0))
        for change in self._pending:
            if random.random() < luck:
                change.apply(content)
            elif luck:
                change.apply_torn(content, random)
        return SimulatedFile(content, self.mode, self.inode, bytearray(content))


class SimulatedDirectory:
    """A directory; what is in it is the disk's to know."""


Node = SimulatedFile | SimulatedDirectory


class SimulatedDisk:
    """One disk from one start of the machine to its next crash; `survivors` is the disk after that.

    `crash_at` is the number (from 1) of the disk operation in which the power fails; `operations` counts them.
    `lies` and `fails` are asked at each fsync, with the path of the file or directory: one that lies reports success
    and does nothing, one that fails raises EIO. `capacity_bytes` bounds the sum of all file sizes, None does not.
    """

    def __init__(self, random: Random, nodes: dict[Path, Node] | None = None) -> None:
        """An empty disk, or one that holds `nodes` durably."""
        self._random = random
        self._nodes: dict[Path, Node] = nodes or {_ROOT: SimulatedDirectory()}
        self._durable: dict[Path, Node] = dict(self._nodes)
        self._pending: list[dict[Path, Node | None]] = []
        self._files_made = 0
        self._dead = False
        self._discarded = False
        self.operations = 0
        self.crash_at: int | None = None
        self.capacity_bytes: int | None = None
        self.lies: PathPredicate = lambda _: False
        self.fails: PathPredicate = lambda _: False

    @property
    def dead(self) -> bool:
        """Whether the power failed. Every operation then raises SimulatedCrash."""
        return self._dead

    @property
    def used_bytes(self) -> int:
        """The sum of all file sizes."""
        return sum(len(node.content) for node in self._nodes.values() if isinstance(node, SimulatedFile))

    def survivors(self, random: Random) -> SimulatedDisk:
        """The disk as the machine finds it when it is started again; `random` decides over its own next crash.

        This one is then discarded.
        """
        self.discard()
        luck = self._random.choice((0.0, 0.5, 1.0))
        names = dict(self._durable)
        for change in self._pending:
            if self._random.random() < luck:
                _apply(names, change)
        nodes: dict[Path, Node] = {}
        found: dict[Node, Node] = {}
        for path in sorted(names):
            if path == _ROOT or isinstance(nodes.get(path.parent), SimulatedDirectory):
                node = names[path]
                if node not in found:
                    found[node] = node.survivor(self._random) if isinstance(node, SimulatedFile) else node
                nodes[path] = found[node]
        disk = SimulatedDisk(random, nodes)
        disk.capacity_bytes = self.capacity_bytes
        disk._files_made = self._files_made
        return disk

    def discard(self) -> None:
        """From now on take and lose everything in silence, so that what is left of a dead program can be cleaned
        away without being heard."""
        self._dead = self._discarded = True

    def die(self) -> None:
        """Cut the power between two operations."""
        self._dead = True

    def node(self, path: Path) -> Node | None:
        """What is at `path` now."""
        self._require_power()
        return self._nodes.get(path)

    def file(self, path: Path) -> SimulatedFile:
        """The file at `path`. FileNotFoundError, NotADirectoryError or IsADirectoryError if there is none."""
        node = self.node(path)
        if isinstance(node, SimulatedFile):
            return node
        if node is not None:
            raise _error(errno.EISDIR, path)
        above_a_file = any(isinstance(self._nodes.get(parent), SimulatedFile) for parent in path.parents)
        raise _error(errno.ENOTDIR if above_a_file else errno.ENOENT, path)

    def paths(self, below: Path) -> Iterator[Path]:
        """The files below a directory, in the order of `str(path)`."""
        self._require_power()
        found = (path for path, node in self._nodes.items() if isinstance(node, SimulatedFile))
        yield from sorted((path for path in found if below in path.parents), key=str)

    def create(self, path: Path, node: Node) -> None:
        """Enter a new name for a new or existing node. FileExistsError, FileNotFoundError, NotADirectoryError."""
        self._require_power()
        if path in self._nodes:
            raise _error(errno.EEXIST, path)
        self._require_directory(path)
        if isinstance(node, SimulatedFile) and not node.inode:
            self._files_made += 1
            node.inode = self._files_made
        self._step(lambda: self._enter({path: node}))

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name in its directory, replacing what had it."""
        node = self.file(source)
        self._step(lambda: self._enter({source: None, target: node}))

    def unlink(self, path: Path) -> None:
        """Remove the name of a file."""
        self.file(path)
        self._step(lambda: self._enter({path: None}))

    def write(self, file: SimulatedFile, data: bytes, offset: int) -> None:
        """Write within or at the end of a file. OSError ENOSPC beyond `capacity_bytes`; nothing is written then."""
        growth = max(0, offset + len(data) - len(file.content))
        full = self.capacity_bytes is not None and self.used_bytes + growth > self.capacity_bytes
        if growth and full and not self._discarded:
            self._require_power()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._step(lambda: file.change(_Write(offset, data)))

    def truncate(self, file: SimulatedFile, size: int) -> None:
        """Set the length of a file."""
        self._step(lambda: file.change(_Truncate(size)))

    def sync(self, path: Path, file: SimulatedFile) -> None:
        """fsync of a file that was opened as `path`. OSError EIO where `fails` says so."""
        if not self._discarded and self.fails(path):
            self._step(file.fail_sync)
            raise OSError(errno.EIO, os.strerror(errno.EIO), os.fspath(path))
        self._step((lambda: None) if self.lies(path) else file.sync)

    def sync_directory(self, path: Path) -> None:
        """fsync of a directory: its names are durable, the files behind them are not by this."""
        if not self._discarded and self.fails(path):
            self._step(lambda: None)
            raise OSError(errno.EIO, os.strerror(errno.EIO), os.fspath(path))
        self._step((lambda: None) if self.lies(path) else lambda: self._settle(path))

    def _settle(self, directory: Path) -> None:
        waiting = self._pending
        self._pending = []
        for change in waiting:
            if any(path.parent == directory for path in change):
                _apply(self._durable, change)
            else:
                self._pending.append(change)

    def _enter(self, change: dict[Path, Node | None]) -> None:
        _apply(self._nodes, change)
        self._pending.append(change)

    def _step(self, effect: Callable[[], None]) -> None:
        """One operation that the power may fail in: by seed just before or just after its effect."""
        self._require_power()
        if self._discarded:
            return
        self.operations += 1
        if self.operations == self.crash_at:
            if self._random.random() < 0.5:
                effect()
            self._dead = True
            self._require_power()
        effect()

    def _require_power(self) -> None:
        if self._dead and not self._discarded:
            raise SimulatedCrash(f"the power failed in disk operation {self.operations}")

    def _require_directory(self, path: Path) -> None:
        parent = self._nodes.get(path.parent)
        if not isinstance(parent, SimulatedDirectory):
            raise _error(errno.ENOENT if parent is None else errno.ENOTDIR, path)


def _apply(nodes: dict[Path, Node], change: dict[Path, Node | None]) -> None:
    for path, node in change.items():
        if node is None:
            nodes.pop(path, None)
        else:
            nodes[path] = node


def _error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), os.fspath(path))
