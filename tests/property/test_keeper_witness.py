"""Whatever a keeper is told, in whatever order: it never cosigns two histories, and what it cosigned only grows."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from kept_log import KeptLog, kept
from nirantar.errors import NirantarError
from nirantar.tlog.checkpoint import open_checkpoint
from nirantar.tlog.submission import encode_submission

SIZE_MAX = 40
HISTORIES = tuple(
    KeptLog(entries=[b"%d" % (number if number < fork else -number) for number in range(SIZE_MAX)])
    for fork in (SIZE_MAX, 0, 5, 16, 31)
)
"""One log's key, and five histories that part from each other after 0, 5, 16 and 31 entries."""

SIZES = st.integers(0, SIZE_MAX)
LOGS = st.sampled_from(HISTORIES)


class WitnessMachine(RuleBasedStateMachine):
    """A thief of the log's key submits checkpoints of any history and size, with proofs of any history, true or cut, and
    the keeper is restarted in between. `cosigned` is every checkpoint that came back with cosignatures."""

    heads = Bundle("heads")

    def __init__(self) -> None:
        super().__init__()
        self.context = kept()
        self.host, self.house = self.context.__enter__()
        self.cosigned: list[tuple[int, bytes]] = []

    @initialize(target=heads)
    def nothing(self) -> int:
        """The size from which a submission starts may be any that was seen, or none."""
        return 0

    @rule(target=heads, log=LOGS, prover=LOGS, size=SIZES, old_size=st.one_of(heads, SIZES), cut=st.integers(0, 2))
    def submit(self, log: KeptLog, prover: KeptLog, size: int, old_size: int, cut: int) -> int:
        """A checkpoint of one history with a proof of another, perhaps shortened."""
        proof = prover.proof(old_size, size)[: None if cut == 0 else -cut]
        body = encode_submission(old_size, proof, log.note(size))
        try:
            self.house.keeper.add_checkpoint(body, None)
        except NirantarError:
            return old_size
        self.cosigned.append((size, open_checkpoint(log.note(size), log.signer.verifier).root_hash))
        return size

    @rule(log=LOGS, first=SIZES, count=st.integers(1, 10), size=SIZES)
    def put(self, log: KeptLog, first: int, count: int, size: int) -> None:
        """A segment of any history: taken or refused, it changes nothing of what is cosigned."""
        if first + count <= size:
            try:
                log.put(self.house.keeper, first, count, size)
            except NirantarError:
                return

    @invariant()
    def one_history(self) -> None:
        """Every checkpoint that was ever cosigned lies on one history, in growing sizes."""
        sizes = [size for size, _ in self.cosigned]
        assert sizes == sorted(sizes)
        newest: Any = self.cosigned[-1] if self.cosigned else None
        on_it = [log for log in HISTORIES if newest is not None and _root(log, newest[0]) == newest[1]]
        assert newest is None or any(all(_root(log, size) == root for size, root in self.cosigned) for log in on_it)

    @invariant()
    def what_is_kept_is_of_it(self) -> None:
        """The proven leaf hashes give the cosigned roots."""
        if self.cosigned:
            tree = self.house.keeper._admission.tree("opd", HISTORIES[0].origin)
            for size, root in self.cosigned:
                assert size > tree.size or tree.root_at(size) == root

    def teardown(self) -> None:
        """The machine goes."""
        self.context.__exit__(None, None, None)


def _root(log: KeptLog, size: int) -> bytes:
    return open_checkpoint(log.note(size), log.signer.verifier).root_hash


TestWitness = WitnessMachine.TestCase
TestWitness.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
