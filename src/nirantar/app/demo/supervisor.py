"""The demo's supervisor: opens a scratch hospital, watches the visitor register, attacks, recovers, compares, proves.

It outlives the node, so it serves the demo's address (`public.py`) and keeps what was acknowledged.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Final

import msgspec

from nirantar import limits
from nirantar.app.demo import attended_node
from nirantar.app.demo.proof import Proof, flip_in_journal, prove
from nirantar.app.demo.seeding import SEEDED, seed
from nirantar.app.demo.strip import ATTACK, FLIP, PROMISES, PROOF, STEPS, write_strip
from nirantar.app.drill.acknowledgements import Version, versions_in
from nirantar.app.drill.attacker import lock_files
from nirantar.app.drill.calls import Called, call
from nirantar.app.drill.people import registration
from nirantar.app.drill.processes import Program, free_port, run, wait_healthy
from nirantar.app.drill.scratch import NODE, Recovery, Scratch
from nirantar.continuity.drill.accounting import DrillReport, Measured, Outcome, WriteOutcome, judge
from nirantar.edges.web import DemoButton, DemoState
from nirantar.errors import NirantarError, NotFound, Unavailable
from nirantar.fold.founding import slug_of
from nirantar.host.port import Host

HOSPITAL: Final = "Demo Hospital"
_LOCK_PAUSE_SECONDS: Final = 0.15
_POLL_SECONDS: Final = 0.02

Say = Callable[[str], None]


@dataclass(slots=True)
class Progress:
    """How far an attack is: `phase` is `open`, `locking`, `recovering`, `starting`, `comparing`, `back` or `failed`;
    `sentence` says it to people. Times are monotonic seconds."""

    phase: str = "open"
    sentence: str = "The hospital serves."
    killed_at: float | None = None
    served_at: float | None = None

    def seconds(self) -> float | None:
        """Since the kill, up to the first record served again; None before the kill."""
        if self.killed_at is None:
            return None
        return round((self.served_at or time.monotonic()) - self.killed_at, 1)


class Supervisor:
    """One demo. `close` ends every process; the scratch place is its owner's to remove."""

    def __init__(self, host: Host, place: Scratch, say: Say, *, in_a_hurry: bool = False) -> None:
        self._host = host
        self.place = place
        self._say = say
        self._pause = 0.0 if in_a_hurry else _LOCK_PAUSE_SECONDS
        self._program: Program | None = None
        self._turn = Lock()
        self._pressed: set[str] = set()
        self._acknowledged: list[Version] = []
        self._vault_warning: str | None = None
        self.port = 0
        self.patient = ""
        self.progress = Progress()
        self.refused = 0
        self.report: DrillReport | None = None
        self.findings: list[str] | None = None
        self.flipped_at: int | None = None

    def open(self) -> None:
        """Found the hospital, register its first patients, and serve. Raises SetupError, Unavailable."""
        self._vault_warning = self.place.open_hospital(HOSPITAL, "vault")
        self._acknowledged = seed(self._host, self.place.node, self._host.random_bytes(16).hex())
        self._show(1, "Register yourself", (
            f"This is a real, small hospital on your PC; {SEEDED} invented patients are in it. You are its "
            "registration clerk: open “Register a patient”, invent somebody, and press “Register”."
        ))
        self._serve(self.place.node)
        self._say(f"{HOSPITAL} serves, with {SEEDED} invented patients")

    def close(self) -> None:
        """End the node."""
        if self._program is not None:
            self._program.kill()

    @property
    def away(self) -> bool:
        """Whether the supervisor answers in the node's place."""
        return self.progress.phase not in ("open", "back")

    def count_refused(self) -> None:
        """One request that the dead node could not answer."""
        with self._turn:
            self.refused += 1

    def registered(self, patient_id: str) -> None:
        """The visitor was told that his patient is registered: keep the acknowledged bytes, offer the attack."""
        answer = self._fetch(f"Patient/{patient_id}")
        if answer is None or answer.status != 200 or self.progress.phase != "open":
            return
        version_id = answer.header("etag").removeprefix('W/"').removesuffix('"')
        self._acknowledged.append(Version(f"Patient/{patient_id}/_history/{version_id}", answer.body))
        self.patient = patient_id
        entry_index = version_id.rpartition(".")[2]
        self._show(2, "Now attack", (
            f"Your patient is entry {entry_index} of the hospital's log, and the vault has a sealed copy. The button "
            "overwrites every file of this node with random bytes, renames it to .locked, and kills its processes, as "
            "ransomware did to a hospital in 2022."
        ), buttons=(ATTACK,))

    def press(self, action: str) -> None:
        """A button of the strip was genuinely pressed: begin what it stands for, once."""
        work = {"attack": self._attack, "flip": self._flip}.get(action)
        with self._turn:
            if work is None or action in self._pressed:
                return
            self._pressed.add(action)
        if action == "attack":
            self._enter("locking", "The attacker encrypts file after file.")
        Thread(target=self._guarded, args=(work,), name=f"demo-{action}", daemon=True).start()

    def _guarded(self, work: Callable[[], None]) -> None:
        """Run a step; what goes wrong is shown where the visitor looks."""
        try:
            work()
        except NirantarError as failure:
            self._enter("failed", str(failure))
            self._say(str(failure))

    def _enter(self, phase: str, sentence: str) -> None:
        self.progress.phase, self.progress.sentence = phase, sentence

    def _attack(self) -> None:
        self._say("ATTACK: every file of the node is overwritten and renamed to .locked")
        locked = lock_files(self.place.node, lambda: time.sleep(self._pause))
        assert self._program is not None
        self.progress.killed_at = self._program.kill()
        locked += lock_files(self.place.node)
        self._say(f"The node is dead; {locked} files are locked. Recovery begins on a clean directory")
        self._enter("recovering", "What the vault holds is decrypted, hashed, and compared with what was signed.")
        recovery = self.place.recover()
        self._enter("starting", "The recovered node starts.")
        self._serve(self.place.recovered)
        self._await_patient()
        self._enter("comparing", "Every acknowledged record is compared, byte for byte.")
        self._judge(recovery, locked)
        self._show_return()
        self._enter("back", "The hospital is open again.")

    def _await_patient(self) -> None:
        """Return at the first read of the visitor's patient; note when that was."""
        stop = time.monotonic() + limits.DRILL_STEP_SECONDS_MAX
        while time.monotonic() < stop:
            answer = self._fetch(self._acknowledged[-1].place)
            if answer is not None and answer.status == 200:
                self.progress.served_at = time.monotonic()
                return
            time.sleep(_POLL_SECONDS)
        raise Unavailable("The recovered node does not give the visitor's patient back.")

    def _judge(self, recovery: Recovery, locked: int) -> None:
        killed_at = self.progress.killed_at or 0.0
        writes = [
            WriteOutcome(_name(each), int(each.place.rpartition(".")[2]), self._outcome(each))
            for each in self._acknowledged
        ]
        compared_at = time.monotonic()
        written_at = self._register_one_more()
        self.report = judge(Measured(
            durability="vault", writes=writes, vault_confirmed=0, requests_refused=self.refused,
            resumed=0 if written_at is None else 1, files_locked=locked,
            seconds_to_first_service=None if self.progress.served_at is None else self.progress.served_at - killed_at,
            seconds_to_first_write=None if written_at is None else written_at - killed_at,
            seconds_to_full=compared_at - killed_at, entries_verified=recovery.entries_verified,
            recovery_complete=recovery.complete, findings=recovery.findings, vault_warning=self._vault_warning,
        ))

    def _outcome(self, version: Version) -> Outcome:
        answer = self._fetch(version.place)
        if answer is None or answer.status != 200:
            return "lost"
        return "recovered" if answer.body == version.data else "altered"

    def _register_one_more(self) -> float | None:
        """Show that the recovered node takes new patients; when it had one, or None."""
        body = msgspec.json.encode(registration(SEEDED, time.gmtime().tm_year))
        answer = self._fetch("", body)
        if answer is None or answer.status != 200 or not versions_in(answer.body):
            return None
        return time.monotonic()

    def _show_return(self) -> None:
        proof, report = self.proof(), self.report
        assert report is not None
        same = f"All {report.acknowledged} acknowledged records came back byte for byte."
        if report.red:
            same = " ".join(report.broken)
        self._show(3, "Your patient is back", (
            f"The node was dead for {self.progress.seconds()} s and is a new one now, built from the vault and a key "
            f"that lay in a safe. {same}"
        ), lines=(
            f"Entry {proof.entry_index} of {proof.origin}, leaf hash {proof.leaf.hex()[:16]}…",
            f"{len(proof.steps)} hashes lead from it to the root of {proof.tree_size} entries, which the lost node "
            "signed: verified just now",
        ), buttons=(PROOF, FLIP))
        self._say(f"Back after {self.progress.seconds()} s. {same}")

    def proof(self) -> Proof:
        """The visitor's entry, proven from the recovered node's disk at this moment. Raises NotFound before there is
        one, EntryDamaged once its byte was flipped."""
        if not self.place.recovered.is_dir() or not self.patient:
            raise NotFound("There is nothing to prove yet.")
        origin = f"nirantar.{slug_of(HOSPITAL)}/{NODE}"
        entry_index = int(self._acknowledged[-1].place.rpartition(".")[2])
        return prove(self._host, self.place.recovered, self.place.identity, origin, entry_index)

    def _flip(self) -> None:
        self.flipped_at = flip_in_journal(self.place.recovered, self.proof().entry)
        self._say(f"Byte {self.flipped_at} of the journal is flipped; `nirantar verify` runs")
        report: dict[str, Any] = run(["verify", str(self.place.recovered), "--json"], self.place.log, codes=(0, 1))
        self.findings = [f"{each['where']}: {each['what']}" for each in report["findings"]]
        named = self.findings[0] if self.findings else "It found nothing: this demo failed."
        self._say(f"Verification: {named}")
        self._show(4, "One byte was flipped, and found", (
            f"Byte {self.flipped_at} of the journal's file was inverted on disk. Verification trusts no stored hash, "
            "and names the damaged entry:"
        ), lines=tuple(self.findings), buttons=(PROMISES,))

    def _serve(self, directory: Path) -> None:
        token = self.place.root / "token"
        token.unlink(missing_ok=True)
        self.port = free_port()
        self._program = Program(
            attended_node.__name__, [str(directory), str(self.port), str(self._strip), str(token)], self.place.log
        )
        wait_healthy(self.port, self._program)

    def _fetch(self, path: str, body: bytes | None = None) -> Called | None:
        """GET (or POST a Bundle) below the node's FHIR base, as a client with a token."""
        headers = {
            "Authorization": f"Bearer {(self.place.root / 'token').read_text(encoding='ascii')}",
            "Content-Type": "application/fhir+json", "Prefer": "return=representation",
        }
        return call(
            self.port, "GET" if body is None else "POST", f"/fhir/{path}".removesuffix("/"),
            seconds=limits.WRITE_WAIT_SECONDS_MAX, headers=headers, body=body,
        )

    @property
    def _strip(self) -> Path:
        return self.place.root / "strip.json"

    def _show(
        self, step: int, title: str, text: str, *, lines: tuple[str, ...] = (), buttons: tuple[DemoButton, ...] = ()
    ) -> None:
        write_strip(self._strip, DemoState(step, STEPS, title, text, lines, buttons))


def _name(version: Version) -> str:
    return "/".join(version.place.split("/")[:2])
