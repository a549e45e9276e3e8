"""Signing and checking the head of a log: what every commit adds to its batch."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from time import process_time
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nirantar.app.bench.figure import Figure, compared
from nirantar.app.bench.ground import Ground
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.merkle import Frontier
from nirantar.tlog.note import Signer, Verifier

NAME: Final = "checkpoint"
_ROUNDS: Final = 2_000
_LEAVES: Final = 1_000_003


def checkpoint(ground: Ground) -> Iterator[Figure]:
    """Checkpoints a second of one core over a tree of a million entries: signed, and opened again."""
    signer = Signer("bench.nirantar/bench", ground.host.random_bytes(32))
    verifier = Verifier.parse(signer.vkey)
    frontier = Frontier()
    subtree = sha256(b"bench").digest()
    for level in range(_LEAVES.bit_length() - 1, -1, -1):
        if _LEAVES >> level & 1:
            frontier.append_subtree(subtree, level)
    note = b""
    started = process_time()
    for _ in range(_ROUNDS):
        note = Checkpoint(signer.name, frontier.size, frontier.root()).sign(signer)
    signed = _ROUNDS / (process_time() - started)
    started = process_time()
    for _ in range(_ROUNDS):
        open_checkpoint(note, verifier)
    opened = _ROUNDS / (process_time() - started)
    key = Ed25519PrivateKey.generate()
    started = process_time()
    for _ in range(_ROUNDS):
        key.sign(note)
    bare = _ROUNDS / (process_time() - started)
    yield Figure(
        NAME, "checkpoints signed", signed, "/s a core", None, "none: one is signed a commit",
        "Ed25519.", f"{_ROUNDS:,} over a tree of {_LEAVES:,} entries; {opened:,.0f}/s opened and verified",
        (compared(signed, "bare Ed25519 signatures", bare),),
    )
