"""The attacker of drills and demos: destroys a node's files and kills its process, or damages a vault.

Works only on directories that carry the marker file of a scratch hospital, and refuses everything else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from nirantar.continuity.drill.accounting import Sabotage
from nirantar.errors import Forbidden
from nirantar.vault.keys import LEVELS, SegmentKey, VaultKey, parse

MARKER: Final = "nirantar-scratch"
LOCKED: Final = ".locked"
SABOTAGE_SEGMENTS_MIN: Final = 4
"""One that survives before the damage, the two that are damaged, and one after them that speaks of what is missing."""
_CHUNK_BYTES: Final = 1024 * 1024


def mark(directory: Path) -> None:
    """Declare a directory to be scratch: whatever is in it may be destroyed."""
    (directory / MARKER).write_text("Scratch of a drill or demo: the attacker may destroy this directory.\n", "utf-8")


def require_marker(directory: Path) -> None:
    """Raise Forbidden unless the directory itself (not a link to it) carries the marker, attacked or not."""
    if directory.is_symlink() or not any((directory / name).is_file() for name in (MARKER, MARKER + LOCKED)):
        raise Forbidden(
            f"{directory} has no file {MARKER}: it is not a drill's scratch directory, and the attacker touches "
            "nothing else."
        )


def lock_files(directory: Path, pause: Callable[[], None] = lambda: None) -> int:
    """Overwrite every file below a scratch directory with random bytes and rename it to `.locked`; how many.

    Small files go first. `pause` is called after each, for attacks that people watch.

    Raises Forbidden without the marker. The marker goes last, so that an attack that was interrupted can go on.
    """
    require_marker(directory)
    locked = 0
    for path in sorted(_files(directory), key=_when):
        try:
            _overwrite(path)
            path.rename(path.with_name(path.name + LOCKED))
        except FileNotFoundError:  # The node, alive still, removed it itself.
            continue
        locked += 1
        pause()
    return locked


def _when(path: Path) -> tuple[bool, int]:
    """When a file's turn comes; one that is gone meanwhile comes at once."""
    try:
        return path.name == MARKER, path.stat().st_size
    except FileNotFoundError:
        return False, 0


def _files(directory: Path) -> Iterator[Path]:
    for path in list(directory.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.suffix != LOCKED:
            yield path


def _overwrite(path: Path) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file:
        left = os.fstat(file.fileno()).st_size
        while left:
            left -= file.write(os.urandom(min(left, _CHUNK_BYTES)))
        file.flush()
        os.fsync(file.fileno())


def sabotage_vault(vault: Path, node: str) -> Sabotage:
    """Flip one byte of a sealed segment of `node` and delete the next, with what was merged from either; segments
    before and after them stay.

    Raises Forbidden without the marker, or when the vault holds fewer than SABOTAGE_SEGMENTS_MIN.
    """
    require_marker(vault)
    segments = sorted((vault / node / "live").glob("*.segment"))
    if len(segments) < SABOTAGE_SEGMENTS_MIN:
        raise Forbidden(f"The vault holds {len(segments)} segments; sabotage needs {SABOTAGE_SEGMENTS_MIN}.")
    middle = len(segments) // 2
    flipped, deleted = segments[middle - 1], segments[middle]
    at = flip_byte(flipped)
    deleted.unlink()
    key = parse(deleted.relative_to(vault).as_posix())
    assert isinstance(key, SegmentKey)
    _delete_merged(vault, node, parse(flipped.relative_to(vault).as_posix()), key)
    return Sabotage(flipped.relative_to(vault).as_posix(), at, str(key), (key.first, key.end - 1))


def _delete_merged(vault: Path, node: str, *damaged: VaultKey | None) -> None:
    """Delete every segment of a higher level that holds an entry of the damaged ones again."""
    for level in LEVELS[1:]:
        for path in (vault / node / level).glob("*.segment"):
            key = parse(path.relative_to(vault).as_posix())
            assert isinstance(key, SegmentKey)
            if any(isinstance(each, SegmentKey) and each.first < key.end and key.first < each.end for each in damaged):
                path.unlink()


def flip_byte(path: Path, at: int | None = None) -> int:
    """Invert one byte of a file in place, by default one in its last quarter (a segment's ciphertext); where."""
    path.chmod(0o600)
    with path.open("r+b") as file:
        at = os.fstat(file.fileno()).st_size * 3 // 4 if at is None else at
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0xFF]))
    return at
