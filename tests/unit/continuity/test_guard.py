"""A node that was copied, moved or rolled back knows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nirantar.continuity import guard
from nirantar.errors import VaultUnavailable
from nirantar.host.simulated import SimulatedHost
from nirantar.tlog.merkle import root

PATH = Path("/node/generation.json")


class Log:
    """An own log of leaf hashes, whatever its origin."""

    def __init__(self, *leaves: bytes) -> None:
        self._leaves = list(leaves)

    def size(self, _origin: str) -> int:
        """Its length."""
        return len(self._leaves)

    def root(self, _origin: str, tree_size: int) -> bytes:
        """The root over its first leaves."""
        return root(self._leaves[:tree_size])


class Seen(Log):
    """A witness that saw such a log; with no leaves at all it cannot be asked."""

    def largest_size(self, _origin: str) -> int:
        """How long it was."""
        if not self._leaves:
            raise VaultUnavailable("It is away.")
        return len(self._leaves)

    def newest_head(self, origin: str) -> tuple[int, bytes]:
        """What was signed of it."""
        return len(self._leaves), self.root(origin, len(self._leaves))


A, B, C = b"a" * 32, b"b" * 32, b"c" * 32


@pytest.mark.parametrize(
    ("own", "witnesses", "said"),
    [
        (Log(A, B), [Seen(A, B)], None), (Log(A, B, C), [Seen(A, B)], None), (Log(A), [], None), (Log(A), [Seen()], None),
        (Log(A), [Seen(A, B)], "has 1 entries, but 2 were seen elsewhere"),
        (Log(A), [Seen(), Seen(A), Seen(A, B)], "has 1 entries, but 2"),
        (Log(A, C), [Seen(A, B)], "other entries before 2"), (Log(A, C, C), [Seen(A, B)], "other entries"),
        (Log(C, B), [Seen(A, B)], "other entries before 2"),
    ],
)
def test_a_log_that_others_saw_longer_or_otherwise_only_reads(
    own: Log, witnesses: list[Seen], said: str | None
) -> None:
    """Shorter or different than any witness's: a sentence with what to do; as long, longer, or unasked: none."""
    why = guard.rolled_back("o/n", own, witnesses)
    assert why is None if said is None else why is not None and said in why and "nirantar recover" in why


def test_a_directory_is_bound_to_machine_and_file() -> None:
    """Bound here it is at home; copied, restored or on another machine it is not, until a person binds it again."""
    with SimulatedHost(1) as host:
        host.files.make_directory(PATH.parent)
        guard.bind(host, PATH)
        assert guard.moved(host, PATH) is None
        data = host.files.read(PATH)
        host.files.replace(PATH, data)
        assert "is a copy of another one" in (guard.moved(host, PATH) or "")
        guard.bind(host, PATH)
        assert guard.moved(host, PATH) is None
        with SimulatedHost(2) as other:
            other.files.make_directory(PATH.parent)
            other.files.put_new(PATH, host.files.read(PATH))
            assert "made on another machine" in (guard.moved(other, PATH) or "")


@pytest.mark.parametrize("data", [None, b"", b"{}", b"{}\n", b"{}\n{}\n", b"{}\n" + b"[" * 9000, b"\xff\n\xff", b"{}\n\xff"])
def test_an_unreadable_generation_file_is_a_move(data: bytes | None) -> None:
    """Missing, torn or hostile: the node only reads, and says how to go on."""
    with SimulatedHost(1) as host:
        host.files.make_directory(PATH.parent)
        if data is not None:
            host.files.put_new(PATH, data)
        assert "nirantar doctor DIR --accept-move" in (guard.moved(host, PATH) or "")
