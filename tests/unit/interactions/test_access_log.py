"""The access log: a chain that goes on over crashes, and that betrays every cut and change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from nirantar import limits
from nirantar.errors import DiskFull, Overloaded
from nirantar.host.simulated import SimulatedHost
from nirantar.interactions.access_log import AccessLog, check_access_log
from nirantar.interactions.authorize import Caller

DIRECTORY = Path("/access")
CALLER = Caller("staff:asha", "Asha Rao", "doctor", "pc-1")
DAY_US = 86_400_000_000


@pytest.fixture
def host() -> Iterator[SimulatedHost]:
    """A machine."""
    with SimulatedHost(3) as made:
        yield made


def written(host: SimulatedHost, count: int) -> AccessLog:
    """A log with `count` reads in it, flushed."""
    log = AccessLog(host, DIRECTORY)
    for number in range(count):
        log.note(CALLER, "read", "Patient", f"p{number}")
    log.flush()
    return log


def lines(host: SimulatedHost) -> list[bytes]:
    """Every line in order."""
    return [
        line for path in host.files.walk(DIRECTORY) for line in host.files.read(path).split(b"\n") if line
    ]


def findings(host: SimulatedHost, *digested: tuple[int, str]) -> list[str]:
    """What checking finds."""
    return [f"{each.where}: {each.what}" for each in check_access_log(host, DIRECTORY, digested=digested)]


def only_file(host: SimulatedHost) -> Path:
    """The one file of the log."""
    (path,) = host.files.walk(DIRECTORY)
    return path


def test_a_line_says_who_saw_what_where_and_no_name(host: SimulatedHost) -> None:
    """The fields are the format's; a person's name is not among them."""
    written(host, 1)
    (line,) = lines(host)
    assert list(msgspec.json.decode(line)) == [
        "n", "at", "actor", "role", "workstation", "what", "type", "id", "chain",
    ]
    assert b"Asha Rao" not in line


def test_a_whole_log_has_no_findings(host: SimulatedHost) -> None:
    """Lines, chain and every digest on the way agree."""
    log = written(host, 3)
    first = log.digest()
    log.note(CALLER, "search", "Patient", "")
    log.flush()
    assert log.digest()[0] == 4
    assert findings(host, first, log.digest()) == []


@pytest.mark.parametrize("number", range(4))
def test_a_changed_line_is_named(host: SimulatedHost, number: int) -> None:
    """Whichever line somebody rewrites, it or the next is named; without any digest."""
    log = written(host, 4)
    path = only_file(host)
    data = host.files.read(path)
    host.files.replace(path, data.replace(f'"p{number}"'.encode(), b'"xx"'))
    assert findings(host, log.digest()) == [
        f"access log {path.name} line {number + 1}: it was changed, or lines before it are missing"
    ]


@pytest.mark.parametrize("kept", range(4))
def test_a_cut_is_found_by_the_digest(host: SimulatedHost, kept: int) -> None:
    """Cutting lines off the end leaves a whole chain, which no longer leads to what the journal says."""
    log = written(host, 4)
    path = only_file(host)
    host.files.replace(path, b"".join(line + b"\n" for line in lines(host)[:kept]))
    assert len(findings(host, log.digest())) == 1


def test_a_newer_digest_heals_nothing(host: SimulatedHost) -> None:
    """After a cut the node goes on and journals new digests; the old one still tells."""
    log = written(host, 4)
    old = log.digest()
    host.files.replace(only_file(host), lines(host)[0] + b"\n")
    log = AccessLog(host, DIRECTORY)
    for number in range(9):
        log.note(CALLER, "read", "Patient", f"q{number}")
    log.flush()
    assert findings(host, log.digest()) == []
    assert len(findings(host, old, log.digest())) == 1


def test_a_line_in_the_middle_cannot_be_taken_out(host: SimulatedHost) -> None:
    """Numbers and chain both break."""
    log = written(host, 4)
    kept = lines(host)
    host.files.replace(only_file(host), b"\n".join([kept[0], *kept[2:]]) + b"\n")
    assert len(findings(host, log.digest())) == 1


def test_every_torn_end_is_resumed(host: SimulatedHost) -> None:
    """Wherever a crash tore the last append, the log goes on and stays whole."""
    written(host, 2)
    path = only_file(host)
    data = host.files.read(path)
    start = data.index(b"\n") + 1
    for end in range(start, len(data) + 1):
        host.files.replace(path, data[:end])
        log = AccessLog(host, DIRECTORY)
        log.note(CALLER, "read", "Patient", "after")
        log.flush()
        assert findings(host, log.digest()) == [], end
        assert msgspec.json.decode(lines(host)[-1])["n"] == log.digest()[0]


def test_the_chain_goes_on_over_restart_and_midnight(host: SimulatedHost) -> None:
    """A file a day, one chain."""
    for _ in range(3):
        written(host, 2)
        host.advance(DAY_US)
    assert len(list(host.files.walk(DIRECTORY))) == 3
    log = AccessLog(host, DIRECTORY)
    assert log.digest()[0] == 6
    assert findings(host, log.digest()) == []


def test_a_clock_set_back_over_midnight_breaks_no_chain(host: SimulatedHost) -> None:
    """Lines never go into an earlier day's file, in this run or after a restart."""
    log = written(host, 1)
    host.advance(DAY_US)
    log.note(CALLER, "read", "Patient", "tomorrow")
    log.flush()
    host.set_wall_us(host.now_us() - 2 * DAY_US)
    log.note(CALLER, "read", "Patient", "yesterday")
    log.flush()
    assert findings(host, log.digest()) == []
    log = written(host, 1)
    assert log.digest()[0] == 4
    assert findings(host, log.digest()) == []


def test_on_a_full_disk_lines_wait_and_then_reads_are_refused(host: SimulatedHost) -> None:
    """Nothing is lost and nothing is half written; beyond ACCESS_LOG_QUEUE_MAX no read passes unrecorded."""
    log = written(host, 1)
    before = lines(host)
    host.disk.capacity_bytes = host.disk.used_bytes
    log.note(CALLER, "read", "Patient", "waits")
    with pytest.raises(DiskFull):
        log.flush()
    assert lines(host) == before
    log._waiting.extend(log._waiting[0] for _ in range(limits.ACCESS_LOG_QUEUE_MAX - 1))
    with pytest.raises(Overloaded, match="ACCESS_LOG_QUEUE_MAX"):
        log.note(CALLER, "read", "Patient", "too many")
    while len(log._waiting) > 1:
        log._waiting.pop()
    host.disk.capacity_bytes = None
    log.flush()
    assert len(lines(host)) == 2
    assert findings(host, log.digest()) == []


def test_hostile_lines_do_not_stop_the_check(host: SimulatedHost) -> None:
    """Whatever was written into the file, checking ends with a finding, not with an error."""
    log = written(host, 2)
    path = only_file(host)
    data = host.files.read(path)
    for hostile in (b"\xff\xfe", b"[" * 5000, b'{"chain":1}', b'{"chain":"zz","n":1}', b"null", b'{"n":2,"chain":"00"}'):
        host.files.replace(path, hostile + b"\n" + data[10:])
        assert findings(host, log.digest())
