"""A keeper, composed: from its directory to the door that its edge uses, and the loop that looks round.

keeper.json           which hospital it keeps: the authority's verifier key; the keeper's own name; perhaps a mirror
keys/s3-credentials   what the mirror's bucket is written with, if the environment does not hold it
keys/cosigner.keys    its two cosigning keys, readable by its owner only
keeper.db, lock       what it remembers
alarms.jsonl          the alarms; only ever added to
evidence/             signed notes that prove a fork or a rewind
vault/                the objects: an ordinary file:// vault for whoever administers this machine
"""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path
from queue import Full, Queue
from threading import Event, Thread
from typing import Final

import msgspec

from nirantar import limits
from nirantar.app.configuration import check_node_name
from nirantar.app.vaults import open_vault
from nirantar.continuity.custody import custody_notes
from nirantar.continuity.keeping.admission import Admission
from nirantar.continuity.keeping.alarms import ALARMS_FILE, Alarm, Alarms
from nirantar.continuity.keeping.expiry import Expiry
from nirantar.continuity.keeping.keeper import Keeper, Parts
from nirantar.continuity.keeping.mirror import Mirror
from nirantar.continuity.keeping.quota import Allowance, Quotas
from nirantar.continuity.keeping.records import RECORDS_FILE, Records, TokenKind
from nirantar.continuity.keeping.register import Register, slug_of_authority
from nirantar.continuity.keeping.rules import RosterRules
from nirantar.errors import ConfigInvalid, InvalidInput, NirantarError, SetupError
from nirantar.host.port import Host
from nirantar.tlog.cosignature import Cosigner
from nirantar.tlog.note import Verifier
from nirantar.tlog.note_keys import ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.keys import ROSTER_PREFIX
from nirantar.vault.levels import superseded
from nirantar.vault.retention import Retention
from nirantar.vault.s3_address import S3Address

KEEPER_FILE: Final = "keeper.json"
KEYS_FILE: Final = "keys/cosigner.keys"
LOCK_FILE: Final = "lock"
VAULT_DIRECTORY: Final = "vault"


class KeeperPapers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `keeper.json` holds."""

    v: int
    name: str
    authority: str
    mirror: str = ""


def set_up_keeper(host: Host, directory: Path, authority: str, name: str, *, mirror: str = "") -> tuple[str, ...]:
    """Make a keeper in the new or empty `directory`; its two verifier keys. `mirror` is the URI of a bucket. Raises
    SetupError, ConfigInvalid."""
    if mirror:
        S3Address.parse(mirror)
    first = next(host.files.walk(directory), None)
    if first is not None:
        raise SetupError(f"{directory} is not empty (it holds {first.name}). Choose a new directory for the keeper.")
    check_node_name(name)
    verifier = _authority(authority)
    full = f"nirantar.{slug_of_authority(verifier.name)}/keepers/{name}"
    cosigners = [
        Cosigner(full, host.random_bytes(32), algorithm) for algorithm in (ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE)
    ]
    host.files.make_directory(directory)
    host.files.make_directory(directory / "keys")
    host.files.put_new(directory / KEYS_FILE, "".join(f"{each.skey}\n" for each in cosigners).encode(), mode=0o400)
    DirectoryVault.create(host, directory / VAULT_DIRECTORY)
    Records(host, directory / RECORDS_FILE).close()
    papers = msgspec.json.encode(KeeperPapers(1, full, verifier.vkey, mirror))
    host.files.put_new(directory / KEEPER_FILE, msgspec.json.format(papers, indent=2) + b"\n", mode=0o640)
    return tuple(each.vkey for each in cosigners)


class KeeperHouse:
    """A keeper that is open. With `serving` its directory is locked, and alarms run `alarm_command`."""

    def __init__(
        self, host: Host, directory: Path, *, serving: bool = False, allowance: Allowance | None = None,
        silence_minutes: int = limits.KEEPER_SILENCE_MINUTES, alarm_command: Path | None = None,
    ) -> None:
        """Raises SetupError for a directory that is no keeper, DirectoryInUse for one that serves already."""
        papers, cosigners = read_keeper(host, directory)
        if silence_minutes < 1:
            raise ConfigInvalid("A node can be called silent after 1 minute at the earliest.")
        self._stack = ExitStack()
        try:
            if serving:
                self._stack.enter_context(host.files.lock(directory / LOCK_FILE))
            self._stopping = Event()
            self._commands = AlarmCommands(alarm_command)
            records = Records(host, directory / RECORDS_FILE)
            self._stack.callback(records.close)
            vault = DirectoryVault(host, directory / VAULT_DIRECTORY)
            rosters = [vault.get(key) for key in vault.list(ROSTER_PREFIX)]
            alarms = Alarms(host, directory / ALARMS_FILE, self._commands.tell)
            self._mirror: Mirror | None = None
            if papers.mirror:
                target = open_vault(host, papers.mirror, home=directory, retention=Retention())
                self._mirror = Mirror(host, vault, target, records, alarms)
            register = Register(_authority(papers.authority), custody_notes(vault), rosters)
            self.keeper = Keeper(
                host, directory,
                Parts(
                    vault, papers.name, cosigners, register, records, rules=RosterRules(register),
                    admission=Admission(vault, register, records), quotas=Quotas(allowance or Allowance()),
                    alarms=alarms, mirror=self._mirror,
                    expiry=Expiry(host, directory / VAULT_DIRECTORY, records, superseded),
                ),
                silence_minutes=silence_minutes,
            )
            self.records = records
        except BaseException:
            self._stack.close()
            raise

    def start(self) -> None:
        """Look round in the background until `close`."""
        threads = [
            Thread(target=self._look_round, name="keeper-look-round", daemon=True),
            Thread(target=self._commands.run, name="keeper-alarm-command", daemon=True),
        ]
        if self._mirror is not None:
            threads.append(Thread(target=self._copy, args=(self._mirror,), name="keeper-mirror", daemon=True))
        for thread in threads:
            thread.start()
        for thread in (threads[0], *threads[2:]):
            self._stack.callback(thread.join)
        self._stack.callback(self._stopping.set)
        self._stack.callback(self._commands.stop)

    def close(self) -> None:
        """End what `start` began, and release the directory."""
        self._stack.close()

    def _copy(self, mirror: Mirror) -> None:
        while not self._stopping.is_set():
            if not mirror.step():
                trouble = mirror.status().trouble is not None
                pause = limits.KEEPER_MIRROR_RETRY_SECONDS if trouble else limits.KEEPER_MIRROR_PAUSE_SECONDS
                self._stopping.wait(pause)

    def _look_round(self) -> None:
        while not self._stopping.wait(limits.KEEPER_TICK_SECONDS):
            self.keeper.look_round()
        self.keeper.look_round()


class AlarmCommands:
    """Runs the operator's command for each alarm, one at a time, with three arguments: kind, node, sentence."""

    def __init__(self, command: Path | None) -> None:
        if command is not None and not command.is_absolute():
            raise ConfigInvalid("--alarm-command is an absolute path to a program; it gets: kind, node, sentence.")
        self._command = command
        self._waiting: Queue[Alarm | None] = Queue(limits.KEEPER_ALARM_COMMANDS_WAITING_MAX)

    def tell(self, alarm: Alarm) -> None:
        """Have the command run soon. When too many wait, the log and /status still have it."""
        if self._command is not None:
            self._offer(alarm)

    def stop(self) -> None:
        """Let `run` end after what waits."""
        self._offer(None)

    def run(self) -> None:
        """Run commands until `stop`; what one does, and whether it fails, is the operator's."""
        while (alarm := self._waiting.get()) is not None:
            try:
                subprocess.run(  # noqa: S603  # the operator's own program, with a fixed list of arguments and no shell
                    [str(self._command), alarm.kind, alarm.node, alarm.what], check=False,
                    stdin=subprocess.DEVNULL, timeout=limits.KEEPER_ALARM_COMMAND_SECONDS_MAX,
                )
            except (OSError, subprocess.TimeoutExpired):
                continue

    def _offer(self, alarm: Alarm | None) -> None:
        try:
            self._waiting.put_nowait(alarm)
        except Full:
            return


def read_keeper(host: Host, directory: Path) -> tuple[KeeperPapers, list[Cosigner]]:
    """A keeper's papers and keys. Raises SetupError, naming the file."""
    try:
        papers = msgspec.json.decode(host.files.read(directory / KEEPER_FILE), type=KeeperPapers)
        lines = host.files.read(directory / KEYS_FILE).decode("utf-8", "replace").split()
    except FileNotFoundError:
        raise SetupError(
            f"{directory} is no keeper: begin with nirantar keeper init {directory} --authority VKEY."
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as reason:
        raise SetupError(f"{directory / KEEPER_FILE} cannot be read: {reason}") from None
    try:
        cosigners = [Cosigner.parse(line) for line in lines]
    except InvalidInput as reason:
        raise SetupError(f"{directory / KEYS_FILE} is damaged: {reason}") from None
    return papers, cosigners


def issue_token(host: Host, directory: Path, kind: TokenKind, name: str) -> str:
    """A new token of a node or a recovery; works while the keeper serves. Raises ConfigInvalid for a bad name."""
    check_node_name(name)
    house = KeeperHouse(host, directory)
    try:
        return house.keeper.add_token(kind, name)
    finally:
        house.close()


def withdraw_tokens(host: Host, directory: Path, kind: TokenKind, name: str) -> int:
    """End every token of a name at once; how many there were."""
    house = KeeperHouse(host, directory)
    try:
        return house.records.withdraw_tokens(kind, name)
    finally:
        house.close()


def _authority(vkey: str) -> Verifier:
    try:
        verifier = Verifier.parse(vkey.strip())
        slug_of_authority(verifier.name)
    except NirantarError as reason:
        raise ConfigInvalid(
            f"This is not the verifier key of a hospital's authority: {reason} It stands in hospital.json, under "
            "authority, in the node's directory."
        ) from None
    return verifier
