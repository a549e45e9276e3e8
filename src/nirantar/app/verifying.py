"""Verification: of a node's directory against itself, and of a vault against what the nodes signed.

It trusts no stored hash or counter: every entry is hashed again, the tree rebuilt, every signature checked, and the
view compared with one freshly folded from the journal (invariant 2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from nirantar.app.founding import read_published
from nirantar.app.node import (
    ACCESS_LOG_DIRECTORY,
    LOCK_FILE,
    VIEW_FILE,
    Papers,
    open_view,
    read_papers,
)
from nirantar.app.recovery_under_way import require_recovery_over
from nirantar.continuity.digests import journalled
from nirantar.continuity.identity import Identity
from nirantar.continuity.log_reading import Gap, LogReading
from nirantar.continuity.replay import Progress, bring_forward, no_progress
from nirantar.continuity.vault_reading import read_attachment, read_log
from nirantar.continuity.vault_witness import covered
from nirantar.continuity.witnessing import Claim, Witnesses, claims, unvouched
from nirantar.errors import Damaged, DirectoryInUse, EntryDamaged, Finding
from nirantar.host.database_files import remove_database
from nirantar.host.port import Host
from nirantar.interactions.access_log import check_access_log
from nirantar.journal.attachments import ATTACHMENTS_DIRECTORY, Attachments
from nirantar.journal.entry import decode
from nirantar.journal.fsck import check_log
from nirantar.journal.log import JOURNAL_FILE
from nirantar.journal.reader import JournalReader
from nirantar.limits import SEALED_AFTER_COSIGNED_SECONDS_MAX
from nirantar.store.port import VIEW_KIND
from nirantar.store.sqlite import SqliteView, view_as_it_is
from nirantar.tlog.cosignature import CosignatureVerifier
from nirantar.tlog.note import Verifier
from nirantar.vault.port import Vault


@dataclass(slots=True)
class VerifyReport:
    """What verification saw: `entries` hashed and proven, `resources` the resource versions in them. `ok` means that
    nothing is wrong; findings that were healed are still told."""

    what: str
    entries: int = 0
    resources: int = 0
    ok: bool = False
    logs: dict[str, int] = field(default_factory=dict)
    view_digest: str = ""
    unfolded: int = 0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list)


def verify_node(
    host: Host, directory: Path, *, heal: bool = False, hashing: Progress = no_progress, folding: Progress = no_progress
) -> VerifyReport:
    """Verify a node's directory; it may be serving unless `heal` is asked for.

    With `heal`, a view that differs from its journal is replaced by the fresh one. Raises SetupError for a directory
    that is no node, or not yet whole, DirectoryInUse when healing a node that serves.
    """
    started_us = host.monotonic_us()
    papers = read_papers(host, directory)
    require_recovery_over(host, directory)
    report = VerifyReport(str(directory))
    if not host.files.exists(directory / JOURNAL_FILE):
        report.findings.append(Finding("journal", f"{JOURNAL_FILE} is gone: recover from the vault", "lost"))
        return report
    healthy = True
    try:
        healthy = _verify_journal(host, papers, report, hashing, folding)
    except Damaged as damage:
        # So badly that it cannot even be gone through; what was found until then stays in the report.
        report.findings.append(Finding("journal", str(damage)))
    if not healthy and heal:
        _heal(host, papers, report)
    report.ok = all(finding.healed for finding in report.findings)
    report.seconds = (host.monotonic_us() - started_us) / 1e6
    return report


def verify_vault(
    host: Host, vaults: Sequence[Vault], identity: Identity, *, pinned: Sequence[CosignatureVerifier] = (),
    progress: Progress = no_progress,
) -> VerifyReport:
    """Verify everything that vaults hold: decrypt, hash, compare with every signature, read every entry; and with what
    keepers among them cosigned. With `pinned` keys one of them must have cosigned each log that goes on.

    Raises IdentityWrong, NotFound and VaultUnavailable; damage goes into the report.
    """
    started_us = host.monotonic_us()
    report = VerifyReport(", ".join(vault.location for vault in vaults))
    published = read_published(vaults, identity)
    report.findings += published.findings
    for grant in published.roster.grants:
        reading = LogReading(grant.origin, Verifier.parse(grant.vkey))
        if grant.last_size is None:
            # Of a log that a recovery closed, that recovery said what was lost.
            claimed = claims(vaults, reading.verifier, 0, pinned)
            report.findings += unvouched(claimed, grant.origin, Witnesses(pinned=pinned))
            _let_seal(host, vaults, reading.verifier, claimed)
            for claim in claimed:
                reading.expect(claim.checkpoint, claim.note)
        for step in read_log(vaults, published.identities, reading):
            if isinstance(step, Gap):
                continue
            if step.data is not None:
                report.resources += _versions(vaults, step.data, grant.origin, step.entry_index, report)
            if step.entry_index % 256 == 0:
                progress(step.entry_index, max(reading.promised_size, step.entry_index))
        report.entries += reading.size - len(reading.lost)
        report.logs[grant.origin] = reading.proven_size
        report.findings += reading.findings
    report.ok = not report.findings
    report.seconds = (host.monotonic_us() - started_us) / 1e6
    return report


def _let_seal(host: Host, vaults: Sequence[Vault], verifier: Verifier, claimed: Sequence[Claim]) -> None:
    """A serving node has its log cosigned a moment before it seals: wait for that moment, not for a lost one."""
    began_us, size = host.monotonic_us(), max((each.checkpoint.tree_size for each in claimed), default=0)
    while all(covered(vault, verifier) < size for vault in vaults):
        if host.monotonic_us() - began_us > SEALED_AFTER_COSIGNED_SECONDS_MAX * 1e6:
            return
        Event().wait(SEALED_AFTER_COSIGNED_SECONDS_MAX / 20)


def _verify_journal(
    host: Host, papers: Papers, report: VerifyReport, hashing: Progress, folding: Progress
) -> bool:
    """Verify the journal, and the view and the access log by it; whether the view needs no healing. Raises Damaged
    where the journal cannot be gone through."""
    directory = papers.directory
    attachments = Attachments(host, directory / ATTACHMENTS_DIRECTORY)
    with closing(JournalReader(host, directory / JOURNAL_FILE)) as reader:
        report.findings += (Finding("journal", f"SQLite's integrity check: {line}") for line in reader.page_damage())
        total = sum(reader.size(origin) for origin in reader.origins())
        for origin in reader.origins():
            before = report.entries
            check = check_log(
                reader, attachments, origin, progress=lambda done, before=before: hashing(before + done, total),  # type: ignore[misc]
            )
            report.entries += check.entries
            report.resources += check.versions
            report.logs[origin] = check.entries
            report.findings += check.findings
        with _scratch_view(host, papers) as fresh:
            healthy = _verify_view(host, papers, reader, fresh, report, folding)
            _verify_access_log(host, papers, fresh, report)
    return healthy


def _versions(vaults: Sequence[Vault], data: bytes, origin: str, entry_index: int, report: VerifyReport) -> int:
    try:
        entry = decode(data, origin, entry_index)
    except EntryDamaged as reason:
        report.findings.append(Finding(f"{origin} entry {entry_index}", str(reason)))
        return 0
    if entry is None:
        return 0
    for attachment in entry.attachments:
        if read_attachment(vaults, origin.rpartition("/")[2], attachment.sha256) is None:
            report.findings.append(Finding(
                f"{origin} entry {entry_index}",
                f"no vault holds its attachment {attachment.sha256} undamaged", "lost",
            ))
    return len(entry.changes)


@contextmanager
def _scratch_view(host: Host, papers: Papers) -> Iterator[SqliteView]:
    """An empty view beside the node's own, gone afterwards."""
    path = papers.directory / f"verify-{host.random_bytes(6).hex()}.db"
    view = open_view(host, papers, path)
    try:
        yield view
    finally:
        view.close()
        remove_database(host, path)


def _verify_view(
    host: Host, papers: Papers, reader: JournalReader, fresh: SqliteView, report: VerifyReport, progress: Progress
) -> bool:
    """Compare the node's view with a fresh fold; whether it is as it should be, or the journal itself is not."""
    sizes = {origin: reader.size(origin) for origin in reader.origins()}
    path = papers.directory / VIEW_FILE
    findings: list[Finding] = []
    folded = False
    try:
        with view_as_it_is(host, path) as state:
            known = {} if state is None else state.positions()
            positions = {origin: position.entries for origin, position in known.items()}
            for origin, entries in positions.items():
                if entries > (size := sizes.get(origin, 0)):
                    findings.append(Finding(f"view of {origin}", f"it shows {entries} entries of {size}", VIEW_KIND))
            stop_at = {origin: min(positions.get(origin, 0), size) for origin, size in sizes.items()}
            folded = True
            if not _fold(reader, fresh, stop_at, report, progress):
                return True
            if state is None:
                return True
            with fresh.reader() as expected:
                findings.extend(state.check_rows())
                findings.extend(state.compare(expected))
    except Damaged as damage:
        findings.append(Finding("view", str(damage), VIEW_KIND))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as damage:
        # Rows that no writer of ours could have made break whatever reads them, in any way.
        findings.append(Finding("view", f"its rows cannot be read ({type(damage).__name__})", VIEW_KIND))
    if not folded and not _fold(reader, fresh, sizes, report, progress):
        return True
    report.findings += findings
    return not findings


def _fold(
    reader: JournalReader, fresh: SqliteView, sizes: Mapping[str, int], report: VerifyReport, progress: Progress
) -> bool:
    """Fold the journal anew; False, and a finding, where the journal itself does not allow it."""
    try:
        bring_forward(reader, fresh, stop_at=sizes, progress=progress)
    except Damaged as damage:
        report.findings.append(Finding("journal", f"no view can be folded from it to compare with: {damage}"))
        return False
    with fresh.reader() as expected:
        report.view_digest = expected.computed_view_digest().hex()
        report.unfolded = sum(1 for _ in expected.unfolded())
    return True


def _verify_access_log(host: Host, papers: Papers, fresh: SqliteView, report: VerifyReport) -> None:
    digested = list(journalled(fresh, papers.configuration.node))
    report.findings += check_access_log(host, papers.directory / ACCESS_LOG_DIRECTORY, digested=digested)


def _heal(host: Host, papers: Papers, report: VerifyReport) -> None:
    """Put a freshly folded view in the damaged one's place."""
    try:
        with host.files.lock(papers.directory / LOCK_FILE), closing(
            JournalReader(host, papers.directory / JOURNAL_FILE)
        ) as reader:
            remove_database(host, papers.directory / VIEW_FILE)
            with closing(open_view(host, papers, papers.directory / VIEW_FILE)) as view:
                bring_forward(reader, view)
    except DirectoryInUse:
        raise DirectoryInUse("The node is serving: stop it, then verify with --heal.") from None
    for finding in report.findings:
        finding.healed = finding.healed or finding.kind == VIEW_KIND
