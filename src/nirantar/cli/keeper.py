"""`nirantar keeper`: the put-only server for another machine, which is also a witness."""

from __future__ import annotations

import asyncio
import signal
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import uvloop
from cyclopts import App, Parameter

from nirantar import limits
from nirantar.app.configuration import check_port
from nirantar.app.keeping import KeeperHouse, issue_token, set_up_keeper, withdraw_tokens
from nirantar.app.server import ServerKind
from nirantar.app.server import serve as serve_app
from nirantar.app.service import keeper_unit
from nirantar.cli import terminal
from nirantar.continuity.keeping.quota import Allowance
from nirantar.continuity.keeping.records import TokenKind
from nirantar.continuity.keeping.status import KeeperStatus
from nirantar.edges.keeper_http import keeper_app
from nirantar.errors import InvalidInput, SetupError
from nirantar.host.real import RealHost

PORT: Final = 8470
PLAIN: Final = (
    "Plain HTTP: whoever is on the network between reads the tokens and could put in a node's name. For this machine "
    "or a private link only; otherwise give --tls-cert and --tls-key."
)

keeper = App(
    name="keeper",
    help="""A put-only server for another machine, with its own account: what reaches it can only be added to.

    It keeps the sealed copies of a hospital's logs without being able to open them, takes only what fits the log that
    it has seen so far, and is a witness: it signs how far each log has come, so that nobody can cut an end off or
    rewrite a log unnoticed. Begin with `nirantar keeper init DIR --authority VKEY`, then
    `nirantar keeper token DIR --node NAME`, then `nirantar keeper DIR`.""",
)


@keeper.command
def init(
    directory: Path, /, *, authority: str, name: str = "keeper-1", mirror: str = "",
    systemd_unit_out: Path | None = None, json: bool = False,
) -> None:
    """Make a keeper in DIR for one hospital. It holds no secret of the hospital, and gives none away.

    Example: `nirantar keeper init /srv/keeper --authority "$(sed -n 4p custody.note | jq -r .authority)"`

    Parameters
    ----------
    directory
        A new or empty directory, on a disk that this machine's own account writes and no node mounts.
    authority
        The verifier key of the hospital's authority in force: it stands in the node's `custody.note`, as `authority`.
        The keeper believes no roster that it did not sign, and follows its custody notes to the next one.
    name
        The keeper's name, part of the name that it signs with: lower-case letters, digits, hyphens.
    mirror
        A bucket with Object Lock, `s3://BUCKET/PREFIX?endpoint=https://HOST&region=NAME`, to which everything that the
        keeper takes is copied. Its credentials go to `keys/s3-credentials` in DIR: then no node needs any.
    systemd_unit_out
        Also write a hardened systemd unit to this file.
    json
        Report as one JSON object.
    """
    host, directory = RealHost(), directory.absolute()
    vkeys = set_up_keeper(host, directory, authority, name, mirror=mirror)
    if systemd_unit_out is not None:
        host.files.put_new(systemd_unit_out.absolute(), keeper_unit(directory), mode=0o644)
    if json:
        terminal.print_json({"directory": str(directory), "vkeys": vkeys})
        return
    terminal.good(f"A keeper is made in {directory}.")
    terminal.print_facts("It signs as", [(f"key {number}", vkey) for number, vkey in enumerate(vkeys, 1)])
    terminal.print_facts("Next", [
        ("1", f"nirantar keeper token {directory} --node NAME       a token for each node, shown once"),
        ("2", f"nirantar keeper {directory} --tls-cert FILE --tls-key FILE"),
        ("3", f'in the node\'s nirantar.toml: vaults = ["keeper+https://HOST:{PORT}?token-file=/path"]'),
    ])


@keeper.command
def token(
    directory: Path, /, *, node: str | None = None, recovery: str | None = None, withdraw: bool = False,
    json: bool = False,
) -> None:
    """Issue a token, shown once and kept only as a hash, or withdraw all of a name. Works while the keeper serves.

    A node's token puts and reads that node's own part. A recovery token reads everything (which nobody can open without
    the recovery identity) and brings rosters: make it when it is needed, withdraw it afterwards.

    Parameters
    ----------
    directory
        A keeper made by `nirantar keeper init`.
    node
        The node that will put with it.
    recovery
        Who will recover or rehearse with it, as a name.
    withdraw
        End every token of this name at once, in place of issuing one.
    json
        Report as one JSON object.
    """
    if (node is None) == (recovery is None):
        raise InvalidInput("Name a node with --node, or a recovery with --recovery.")
    kind: TokenKind = "recovery" if node is None else "node"
    name = node or recovery or ""
    host, directory = RealHost(), directory.absolute()
    if withdraw:
        ended = withdraw_tokens(host, directory, kind, name)
        if json:
            terminal.print_json({"kind": kind, "name": name, "withdrawn": ended})
        else:
            terminal.good(f"{terminal.counted(ended, 'token')} of {name} withdrawn.")
        return
    secret = issue_token(host, directory, kind, name)
    if json:
        terminal.print_json({"kind": kind, "name": name, "token": secret})
        return
    terminal.note(f"Token of {kind} {name}, shown this once. Put it into a file that only its user reads (mode 0400):")
    print(secret)


@keeper.command
def status(directory: Path, /, *, json: bool = False) -> None:
    """How far each log has come, who is silent, and the last alarms. Works while the keeper serves.

    Exit code 1 while a node is silent or an alarm is younger than a day. The same as JSON: `GET /status`.

    Parameters
    ----------
    directory
        A keeper made by `nirantar keeper init`.
    json
        Report as one JSON object.
    """
    with closing(KeeperHouse(RealHost(), directory.absolute())) as house:
        found = house.keeper.status()
    if json:
        terminal.print_json(found)
    else:
        _print(found)
    if not found.ok:
        raise SystemExit(terminal.EXIT_DAMAGE)


@keeper.default
def serve(
    directory: Path, /, *, host: str = "127.0.0.1", port: int = PORT, tls_cert: Path | None = None,
    tls_key: Path | None = None, plain_http: bool = False, node_gigabytes: int = limits.KEEPER_NODE_BYTES_MAX >> 30,
    silence_minutes: int = limits.KEEPER_SILENCE_MINUTES,
    alarm_command: Path | None = None, server: Annotated[ServerKind, Parameter()] = "granian",
) -> None:
    """Run the keeper in DIR until Ctrl-C or TERM.

    Parameters
    ----------
    directory
        A keeper made by `nirantar keeper init`.
    host
        Address to listen on. By default this machine only.
    port
        Port to listen on.
    tls_cert
        The keeper's certificate (PEM, with its chain).
    tls_key
        The certificate's key (PEM).
    plain_http
        Serve without TLS, for one machine or a private link. Whoever is on the network reads the tokens.
    node_gigabytes
        Space that each node may fill (GiB).
    silence_minutes
        After how long a node that was heard counts as silent.
    alarm_command
        A program to run for each alarm, as `PROGRAM KIND NODE SENTENCE`; no shell.
    server
        The HTTP server: `granian`, or `uvicorn`.
    """
    if (tls_cert is None) != (tls_key is None) or (tls_cert is None) != plain_http:
        raise InvalidInput("Give --tls-cert and --tls-key, or say --plain-http: tokens are then sent in clear.")
    check_port(port)
    if node_gigabytes < 1:
        raise InvalidInput("--node-gigabytes is at least 1.")
    tls = None if tls_cert is None or tls_key is None else (tls_cert.absolute(), tls_key.absolute())
    house = KeeperHouse(
        RealHost(), directory.absolute(), serving=True, allowance=Allowance(bytes_max=node_gigabytes << 30),
        silence_minutes=silence_minutes, alarm_command=alarm_command,
    )
    try:
        house.start()
        uvloop.run(_serve(house, host, port, tls, server))
    except OSError as reason:
        raise SetupError(f"Cannot serve: {reason}. Is the port taken, or a TLS file unreadable?") from None
    finally:
        house.close()


async def _serve(house: KeeperHouse, host: str, port: int, tls: tuple[Path, Path] | None, kind: ServerKind) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def ready() -> None:
        found = house.keeper.status()
        scheme = "http" if tls is None else "https"
        terminal.good(f"{found.name}: {scheme}://{host}:{port}/  state /status")
        if tls is None:
            terminal.caution(PLAIN)
        for alarm in reversed(found.alarms[:5]):
            terminal.bad(f"{alarm.at} {alarm.kind} {alarm.node}: {alarm.what}")

    await serve_app(keeper_app(house.keeper), host, port, kind=kind, stop=stop, ready=ready, tls=tls)


def _print(found: KeeperStatus) -> None:
    terminal.print_table(
        f"{found.name}, roster {found.roster_serial}",
        ("node", "cosigned", "proven here", "stored", "last heard"),
        [
            (
                log.node, f"{log.cosigned_size:,}", f"{log.proven_size:,}", f"{log.bytes / 2**20:,.1f} MiB",
                "closed" if log.closed_at is not None else (log.heard_at or "never") + " SILENT" * log.silent,
            )
            for log in found.logs
        ],
    )
    if found.mirror is not None:
        lacking = terminal.counted(found.mirror.waiting, "object")
        say = terminal.note if found.mirror.trouble is None else terminal.bad
        say(
            f"mirror {found.mirror.location}: lacks {lacking}, the first for {found.mirror.lag_seconds:,.0f} s"
            + (f". {found.mirror.trouble}" if found.mirror.trouble else "")
        )
    terminal.note(f"{found.free_bytes / 2**30:,.1f} GiB free")
    for alarm in found.alarms:
        more = f" ({alarm.more} more before)" if alarm.more else ""
        terminal.bad(f"{alarm.at} {alarm.kind} {alarm.node}: {alarm.what}{more}")
    if found.ok:
        terminal.good("No node is silent, and no alarm is younger than a day.")
