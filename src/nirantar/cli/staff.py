"""`nirantar staff`: accounts for people, from the terminal of a node that does not serve."""

from __future__ import annotations

import getpass
import sys
import warnings
from pathlib import Path

from nirantar.app.node import Node
from nirantar.cli import terminal
from nirantar.errors import DirectoryInUse, InvalidInput
from nirantar.host.real import RealHost
from nirantar.interactions.accounts import Account
from nirantar.interactions.authorize import Caller


def staff(
    directory: Path, login: str, /, *, role: str, name: str, disable: bool = False, password_stdin: bool = False
) -> None:
    """Create or change a staff account. While the node serves, use its page /staff instead.

    The password is asked for twice, and never shown; to disable an account none is needed. Without --role it-security
    accounts nobody can open /staff, so make one of those first.

    Parameters
    ----------
    directory
        A node made by `nirantar init`.
    login
        2 to 32 characters: a letter, then letters, digits, dots or hyphens.
    role
        One of the roles that `nirantar token --help` lists.
    name
        The person's name.
    disable
        Let the account sign in no longer.
    password_stdin
        Read the password as one line of standard input instead of asking.
    """
    password = None if disable and not password_stdin else _password(password_stdin)
    try:
        node = Node(RealHost(), directory.absolute())
    except DirectoryInUse:
        raise DirectoryInUse(f"The node in {directory} is serving: use its page /staff, or stop it first.") from None
    try:
        node.start()
        operator = Caller("operator:terminal", getpass.getuser(), "it-security", "terminal")
        node.doors.accounts.put(operator, Account(login, name, role, not disable), password)
        # Whoever was signed in when the node stopped is signed out: the role or the password may be another now.
        node.doors.credentials.withdraw_actor(f"staff:{login}")
    finally:
        node.close()
    terminal.good(f"{name} can sign in as {login}." if not disable else f"{login} can no longer sign in.")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    try:
        with warnings.catch_warnings():
            # Without a terminal getpass would show what is typed.
            warnings.simplefilter("error", getpass.GetPassWarning)
            password = getpass.getpass("Password: ")
            again = getpass.getpass("Again: ")
    except (EOFError, getpass.GetPassWarning):
        raise InvalidInput(
            "There is no terminal at which to ask for the password: give it as one line of standard input, with "
            "--password-stdin. Nothing was changed."
        ) from None
    if again != password:
        raise InvalidInput("The two passwords differ; nothing was changed.")
    return password
