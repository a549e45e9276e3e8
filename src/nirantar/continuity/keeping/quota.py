"""How much one bearer may send: a bucket of calls and one of bytes, each with a burst and a steady rate, and a space.

The burst lets a node that was offline for days, or that imports an old system, catch up; the steady rate is what is
left to a flood. Space is counted from the beginning and given back by expiry alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

from nirantar import limits
from nirantar.errors import DiskFull, Overloaded


@dataclass(frozen=True, slots=True)
class Allowance:
    """What each bearer may do; the operator may set `bytes_max`, the rates are limits.py's."""

    bytes_max: int = limits.KEEPER_NODE_BYTES_MAX
    bytes_burst: int = limits.KEEPER_NODE_BYTES_BURST
    bytes_a_second: int = limits.KEEPER_NODE_BYTES_A_SECOND
    calls_burst: int = limits.KEEPER_NODE_CALLS_BURST
    calls_a_second: int = limits.KEEPER_NODE_CALLS_A_SECOND


@dataclass(slots=True)
class _Bucket:
    left: float
    filled_us: int


class Quotas:
    """One pair of buckets for each bearer. Safe between threads. A restart fills them."""

    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self._turn = Lock()
        self._calls: dict[str, _Bucket] = {}
        self._bytes: dict[str, _Bucket] = {}

    def take_call(self, name: str, now_us: int) -> None:
        """Count one call. Raises Overloaded."""
        allowed = self.allowance
        if not self._take(self._calls, name, 1, now_us, allowed.calls_burst, allowed.calls_a_second):
            raise Overloaded(
                f"{name} sends more than {allowed.calls_a_second} calls a second (KEEPER_NODE_CALLS_A_SECOND) beyond "
                f"its burst of {allowed.calls_burst} (KEEPER_NODE_CALLS_BURST): later."
            )

    def take_stranger_call(self, now_us: int) -> None:
        """Count one call of somebody without a token; all of them share a bucket. Raises Overloaded."""
        burst, a_second = limits.KEEPER_STRANGER_CALLS_BURST, limits.KEEPER_STRANGER_CALLS_A_SECOND
        if not self._take(self._calls, "", 1, now_us, burst, a_second):
            raise Overloaded(
                f"Calls without a token come faster than {a_second} a second (KEEPER_STRANGER_CALLS_A_SECOND) beyond a "
                f"burst of {burst} (KEEPER_STRANGER_CALLS_BURST): later. Nodes have their own rate."
            )

    def take_bytes(self, name: str, size: int, stored: int, now_us: int) -> None:
        """Count an object of `size` bytes that is about to come. `stored` are the bearer's bytes so far.

        Raises Overloaded for the rate, DiskFull for the space.
        """
        allowed = self.allowance
        if stored + size > allowed.bytes_max:
            raise DiskFull(
                f"{name} has stored {stored} bytes of the {allowed.bytes_max} that this keeper gives a node "
                "(KEEPER_NODE_BYTES_MAX, --node-gigabytes): its operator can raise that."
            )
        if not self._take(self._bytes, name, size, now_us, allowed.bytes_burst, allowed.bytes_a_second):
            raise Overloaded(
                f"{name} sends more than {allowed.bytes_a_second} bytes a second (KEEPER_NODE_BYTES_A_SECOND) beyond "
                f"its burst of {allowed.bytes_burst} (KEEPER_NODE_BYTES_BURST): later."
            )

    def _take(
        self, buckets: dict[str, _Bucket], name: str, amount: int, now_us: int, burst: int, a_second: int
    ) -> bool:
        with self._turn:
            bucket = buckets.setdefault(name, _Bucket(burst, now_us))
            bucket.left = min(burst, bucket.left + (now_us - bucket.filled_us) * a_second / 1e6)
            bucket.filled_us = now_us
            if bucket.left < amount:
                return False
            bucket.left -= amount
            return True
