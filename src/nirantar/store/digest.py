"""The view digest: one hash over every patient's chart, with a proof that a chart is present *and complete*.

Format 1, all hashes SHA-256, all trees and prefixes those of RFC 6962 (a leaf is H(00 ‖ data), a node H(01 ‖ l ‖ r)):

* A *subject* is what a leaf speaks of: `Patient/<id>` for everything in that patient's compartment, and
  `<Type>/<id>` for a resource that is in no patient's compartment. A version that deletes a resource says nothing of
  a patient, so it counts under `<Type>/<id>`; versions of a Patient always count under the patient.
* A subject's leaf data is UTF-8 text, each line ended by a newline: `nirantar-view-leaf/v1`, then the subject, then
  one line for every head (current version; several after concurrent edits) that counts under it, the lines sorted as
  bytes: `<Type>/<id> <version id> <SHA-256 of the resource's exact bytes, in lower-case hex>`, or `deleted` in place
  of the hash. A subject without heads has no leaf.
* A subject belongs to bucket b = the first two bytes of SHA-256(subject), read big-endian. A bucket's hash is the
  RFC 6962 root over the leaves of its subjects, sorted by subject as bytes; SHA-256 of nothing for an empty bucket.
* The digest is the root of the complete binary tree over the 65,536 buckets' hashes in order.

What a node was told in which order leaves no trace in it: the same entries give the same digest everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from nirantar.errors import ProofInvalid
from nirantar.tlog.merkle import (
    EMPTY_ROOT,
    MemoryHashReader,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    verify_inclusion,
)

LEAF_HEADER: Final = "nirantar-view-leaf/v1"
DEPTH: Final = 16
BUCKETS: Final = 1 << DEPTH


def _empty_nodes() -> tuple[bytes, ...]:
    hashes = [EMPTY_ROOT]
    for _ in range(DEPTH):
        hashes.append(node_hash(hashes[-1], hashes[-1]))
    return tuple(reversed(hashes))


EMPTY_NODES: Final = _empty_nodes()
"""The hash of a subtree without subjects, by its depth: [0] is the digest of an empty view, [16] an empty bucket."""


def subject_of(compartment: str, resource_type: str, resource_id: str) -> str:
    """The subject under which a version counts, given the compartment it is filed in."""
    return compartment if compartment.startswith("Patient/") else f"{resource_type}/{resource_id}"


def head_line(resource_type: str, resource_id: str, version_id: str, resource: bytes | None) -> str:
    """One head as a line of its subject's leaf."""
    content = "deleted" if resource is None else sha256(resource).hexdigest()
    return f"{resource_type}/{resource_id} {version_id} {content}"


def leaf_data(subject: str, head_lines: Iterable[str]) -> bytes:
    """The bytes that a subject's leaf hash covers."""
    return "\n".join((LEAF_HEADER, subject, *sorted(head_lines), "")).encode()


def bucket_of(subject: str) -> int:
    """The bucket of a subject, 0 to 65,535."""
    return int.from_bytes(sha256(subject.encode()).digest()[:2], "big")


def bucket_hash(leaves: Mapping[str, bytes]) -> bytes:
    """A bucket's hash from its subjects' leaf hashes."""
    return root(leaves[subject] for subject in sorted(leaves))


def node_above(
    changed: Mapping[int, bytes], sibling: Callable[[int], bytes | None], keep: Callable[[int, bytes], None]
) -> bytes:
    """Carry changed buckets (by number, at least one) up the tree and return the new digest.

    Nodes are numbered as in a heap: the root is 1, the children of n are 2n and 2n + 1, bucket b is 65,536 + b.
    `sibling` gives the hash that a node had until now (None: never written, so empty), `keep` is told every new one.
    """
    level = {BUCKETS + bucket: hash_ for bucket, hash_ in changed.items()}
    for depth in range(DEPTH, -1, -1):
        for position, hash_ in level.items():
            keep(position, hash_)
        if depth == 0:
            break
        above: dict[int, bytes] = {}
        for position in level:
            parent = position >> 1
            if parent not in above:
                children = (2 * parent, 2 * parent + 1)
                hashes = [level.get(child) or sibling(child) or EMPTY_NODES[depth] for child in children]
                above[parent] = node_hash(*hashes)
        level = above
    return level[1]


def digest_of(leaves: Mapping[str, bytes]) -> bytes:
    """The digest from every subject's leaf hash, computed from nothing."""
    buckets: dict[int, dict[str, bytes]] = {}
    for subject, leaf in leaves.items():
        buckets.setdefault(bucket_of(subject), {})[subject] = leaf
    if not buckets:
        return EMPTY_NODES[0]
    hashes = {bucket: bucket_hash(found) for bucket, found in buckets.items()}
    return node_above(hashes, lambda position: None, lambda position, hash_: None)


@dataclass(frozen=True, slots=True)
class DigestProof:
    """That a subject's leaf is under a digest: its place among the bucket's subjects, the hashes from the leaf up to
    the bucket's hash, that hash, and those from the bucket up to the digest."""

    place: int
    subjects_in_bucket: int
    in_bucket: tuple[bytes, ...]
    bucket: bytes
    to_root: tuple[bytes, ...]


def prove(subject: str, bucket: Mapping[str, bytes], node: Callable[[int], bytes | None]) -> DigestProof:
    """The proof for a subject that is in `bucket` (leaf hashes by subject); `node` gives nodes, None if empty."""
    names = sorted(bucket)
    place = names.index(subject)
    reader = MemoryHashReader([bucket[name] for name in names])
    position, to_root = BUCKETS + bucket_of(subject), []
    for depth in range(DEPTH, 0, -1):
        to_root.append(node(position ^ 1) or EMPTY_NODES[depth])
        position >>= 1
    in_bucket = inclusion_proof(place, len(names), reader)
    return DigestProof(place, len(names), in_bucket, bucket_hash(bucket), tuple(to_root))


def digest_proven_by(subject: str, proof: DigestProof) -> bytes:
    """The digest to which a proof leads from its bucket. Raises ProofInvalid when it has the wrong length."""
    if len(proof.to_root) != DEPTH:
        raise ProofInvalid(f"The proof of {subject} has the wrong length.")
    hash_ = proof.bucket
    position = BUCKETS + bucket_of(subject)
    for sibling in proof.to_root:
        hash_ = node_hash(sibling, hash_) if position & 1 else node_hash(hash_, sibling)
        position >>= 1
    return hash_


def verify_digest_proof(digest: bytes, subject: str, head_lines: Sequence[str], proof: DigestProof) -> None:
    """Return when `head_lines` are exactly the heads of `subject` under `digest`. Raises ProofInvalid otherwise."""
    if not head_lines:
        raise ProofInvalid(f"The proof of {subject} names no heads.")
    leaf = leaf_hash(leaf_data(subject, head_lines))
    verify_inclusion(leaf, proof.place, proof.subjects_in_bucket, proof.in_bucket, proof.bucket)
    if digest_proven_by(subject, proof) != digest:
        raise ProofInvalid(f"The proof of {subject} does not lead to the view digest.")
