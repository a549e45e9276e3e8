"""A systemd unit for a node or a keeper: hardened by what systemd offers, restarted when it ends itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

_NODE: Final = """\
# Install: copy to /etc/systemd/system/nirantar.service, make the user "nirantar" the owner of {directory}
# (and of every file:// vault, whose paths go into ReadWritePaths), then: systemctl enable --now nirantar
[Unit]
Description=Nirantar hospital node in {directory}
"""
_KEEPER: Final = """\
# Install: copy to /etc/systemd/system/nirantar-keeper.service. Make a user "nirantar-keeper" that nobody can log in as
# and that owns {directory} alone; give the certificate's files below (or --plain-http on a private link), and the
# address to listen on; then: systemctl enable --now nirantar-keeper
[Unit]
Description=Nirantar keeper in {directory}
"""
_REST: Final = """\
After=network-online.target time-sync.target
Wants=network-online.target

[Service]
User={user}
ExecStart={command}
Restart=always
RestartSec=1
UMask=0077
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={quoted}
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
LockPersonality=yes
CapabilityBoundingSet=
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
"""


def systemd_unit(directory: Path) -> bytes:
    """The unit's text for the node in `directory`, run by this very Python."""
    return _unit(_NODE, "nirantar", directory, "serve", str(directory))


def keeper_unit(directory: Path) -> bytes:
    """The unit's text for the keeper in `directory`, with the certificate where the operator will put it."""
    files = ("--tls-cert", "/etc/nirantar-keeper/cert.pem", "--tls-key", "/etc/nirantar-keeper/key.pem")
    return _unit(_KEEPER, "nirantar-keeper", directory, "keeper", str(directory), "--host", "0.0.0.0", *files)  # noqa: S104  # a keeper is for other machines


def _unit(head: str, user: str, directory: Path, *command: str) -> bytes:
    words = (sys.executable, "-m", "nirantar.cli", *command)
    line = " ".join(_quoted(word).replace("$", "$$") for word in words)
    values = {"directory": directory, "quoted": _quoted(str(directory)), "command": line, "user": user}
    return (head + _REST).format(**values).encode()


def _quoted(word: str) -> str:
    """A word as systemd.syntax(7) reads it: in double quotes, with its specifiers taken literally."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
