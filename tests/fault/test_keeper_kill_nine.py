"""kill -9 of a real keeper at random moments under load: what it acknowledged is there, and it never says two things."""

from __future__ import annotations

import time
from hashlib import sha256
from pathlib import Path
from random import Random
from threading import Event, Thread

import pytest

from keeper_at_hand import free_port, keeping, uri_with_token
from kept_log import AUTHORITY, KeptLog, document, roster
from nirantar.app.keeping import set_up_keeper
from nirantar.app.vaults import open_vault
from nirantar.errors import Conflict, NirantarError, WitnessConflict
from nirantar.host.real import RealHost
from nirantar.tlog.checkpoint import open_checkpoint
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.keys import AttachmentKey
from nirantar.vault.port import Vault, WitnessingVault

KILLS = 8
SEED = 20_221_123
LOGS = (KeptLog("opd", [b"%d" % number for number in range(4_000)]), KeptLog("ward", [b"w%d" % number for number in range(4_000)]))


class Sender:
    """A node that cosigns and puts as fast as it can, and remembers what was acknowledged."""

    def __init__(self, log: KeptLog, vault: Vault) -> None:
        self.log = log
        self.vault = vault
        self.acknowledged: dict[str, bytes] = {}
        self.cosigned: dict[int, bytes] = {}
        self.size = 0
        self.held = 0

    def run(self, stop: Event, random: Random) -> None:
        """Until `stop`, or until nobody answers."""
        while not stop.is_set() and self.held < len(self.log.entries) - 50:
            try:
                self._step(random)
            except NirantarError:
                if stop.is_set():
                    return
                time.sleep(0.02)

    def _step(self, random: Random) -> None:
        assert isinstance(self.vault, WitnessingVault)
        size = max(self.size, self.held) + random.randint(1, 20)
        try:
            note = self.vault.cosign(self.log.note(size), self.size, self.log.proof(self.size, size))
        except WitnessConflict as other:
            self.size = other.cosigned_size
            return
        self.size = size
        self.cosigned[size] = note
        key, data = self.log.key(self.held, size - self.held), self.log.segment(self.held, size - self.held, size)
        try:
            self._put(key, data)
        except Conflict:
            # A put without an answer may have been stored: where it goes on, the keeper knows.
            self.held = max(map(_end, self.vault.list(f"{self.log.node}/live/")), default=0)
            return
        self.held = size
        scan = random.randbytes(200)
        self._put(str(AttachmentKey(self.log.node, sha256(scan).hexdigest())), scan)

    def _put(self, key: str, data: bytes) -> None:
        self.vault.put_new(key, data)
        self.acknowledged[key] = data


def _end(key: str) -> int:
    first, _, count = key.rpartition("/")[2].removesuffix(".segment").partition("-")
    return int(first) + int(count)


def test_no_acknowledged_object_is_lost_and_no_two_heads_are_cosigned(tmp_path: Path) -> None:
    """After each death: every acknowledged object has its bytes, the newest served checkpoint is no smaller than any that
    was acknowledged, and all cosigned ones lie on the one log that was submitted."""
    random, host, port = Random(SEED), RealHost(), free_port()
    set_up_keeper(host, tmp_path / "keeper", AUTHORITY.vkey, "keeper-1")
    senders = [Sender(log, open_vault(host, uri_with_token(host, tmp_path / "keeper", port, "node", log.node)[0])) for log in LOGS]
    stored = DirectoryVault(host, tmp_path / "keeper" / "vault")
    with keeping(tmp_path / "keeper", port):
        senders[0].vault.put_new("hospital.json", document())
        senders[0].vault.put_new("roster/00000001.note", roster())
    for number in range(KILLS):
        with keeping(tmp_path / "keeper", port, again=True) as running:
            stop = Event()
            threads = [Thread(target=sender.run, args=(stop, Random(f"{SEED}/{number}/{sender.log.node}"))) for sender in senders]
            for thread in threads:
                thread.start()
            time.sleep(random.uniform(0.1, 0.8))
            running.kill()
            stop.set()
            for thread in threads:
                thread.join()
        for sender in senders:
            for key, data in sender.acknowledged.items():
                assert stored.get(key) == data, f"seed={SEED} life {number}: {key}"
    with keeping(tmp_path / "keeper", port, again=True):
        for sender in senders:
            assert isinstance(sender.vault, WitnessingVault)
            newest = sender.vault.cosigned(sender.log.origin)
            assert newest is not None
            head = open_checkpoint(newest, sender.log.signer.verifier)
            assert head.tree_size >= max(sender.cosigned)
            assert newest.startswith(sender.log.note(head.tree_size))
            for size, note in sender.cosigned.items():
                assert note.startswith(sender.log.note(size))
            # It goes on where it was: the next segment is taken.
            sender.run(_after(0.5), random)
            assert sender.held > 0
    assert all(sender.acknowledged for sender in senders)


def _after(seconds: float) -> Event:
    done = Event()

    def wait() -> None:
        time.sleep(seconds)
        done.set()

    Thread(target=wait, daemon=True).start()
    return done


@pytest.mark.parametrize("delay", [0.0, 0.3])
def test_a_keeper_killed_while_it_starts_starts_again(tmp_path: Path, delay: float) -> None:
    """A death in its first moments leaves a keeper that starts and serves."""
    host, port = RealHost(), free_port()
    set_up_keeper(host, tmp_path / "keeper", AUTHORITY.vkey, "keeper-1")
    with keeping(tmp_path / "keeper", port) as running:
        time.sleep(delay)
        running.kill()
    with keeping(tmp_path / "keeper", port) as running:
        assert running.status()["ok"]
        running.stop()
