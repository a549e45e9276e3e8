"""A systemd unit for a node: hardened by what systemd offers, restarted when the node ends itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

_UNIT: Final = """\
# Install: copy to /etc/systemd/system/nirantar.service, make the user "nirantar" the owner of {directory}
# (and of every file:// vault, whose paths go into ReadWritePaths), then: systemctl enable --now nirantar
[Unit]
Description=Nirantar hospital node in {directory}
After=network-online.target time-sync.target
Wants=network-online.target

[Service]
User=nirantar
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
    words = (sys.executable, "-m", "nirantar.cli", "serve", str(directory))
    command = " ".join(_quoted(word).replace("$", "$$") for word in words)
    return _UNIT.format(directory=directory, quoted=_quoted(str(directory)), command=command).encode()


def _quoted(word: str) -> str:
    """A word as systemd.syntax(7) reads it: in double quotes, with its specifiers taken literally."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
