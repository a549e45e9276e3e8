"""How commands speak: markup in data is data, and every error has its exit code."""

from __future__ import annotations

import pytest

from nirantar import errors
from nirantar.cli import terminal

EXIT_CODES = {
    errors.Damaged: 1, errors.EntryDamaged: 1, errors.SegmentDamaged: 1, errors.ProofInvalid: 1,
    errors.InvalidInput: 2, errors.ResourceInvalid: 2, errors.LimitExceeded: 2, errors.Conflict: 2, errors.Forbidden: 2,
    errors.SetupError: 3, errors.DirectoryInUse: 3, errors.ConfigInvalid: 3, errors.IdentityWrong: 3, errors.NotFound: 3,
    errors.Unavailable: 4, errors.DiskFull: 4, errors.ReadOnly: 4, errors.VaultUnavailable: 4, errors.Overloaded: 4,
    errors.FsyncFailed: 70,
}


@pytest.mark.parametrize("kind", EXIT_CODES, ids=lambda each: each.__name__)
def test_an_error_ends_with_the_code_of_its_kind(
    kind: type[errors.NirantarError], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its sentence goes to standard error, brackets and backslashes as they are."""
    error = kind.__new__(kind)
    Exception.__init__(error, r"disk [bold]full[/] in C:\[x]\ ")
    with pytest.raises(SystemExit) as ended:
        terminal.fail(error)
    said = capsys.readouterr()
    assert ended.value.code == EXIT_CODES[kind]
    assert r"nirantar: disk [bold]full[/] in C:\[x]\ ".strip() in said.err
    assert said.out == ""


@pytest.mark.parametrize("text", ["[red]x[/red]", "[/]", "a\\", "\\[x]", "[link=file:///x]y[/link]"])
def test_what_is_printed_is_never_read_as_markup(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """File names, hospital names and findings come out as they are, in every kind of line."""
    for say in (terminal.good, terminal.bad, terminal.caution, terminal.note):
        say(text)
        assert text in capsys.readouterr().out
    terminal.print_facts(text, [(text, text)])
    assert capsys.readouterr().out.count(text) == 3
    terminal.print_table(text, (text,), [(text,)])
    assert capsys.readouterr().out.count(text) >= 2


def test_a_number_agrees_with_its_noun() -> None:
    """One entry, no entries, thousands with a comma."""
    assert [terminal.counted(number, "entry", "entries") for number in (0, 1, 2_000)] == [
        "0 entries", "1 entry", "2,000 entries",
    ]
    assert terminal.counted(2, "finding") == "2 findings"


def test_json_is_one_object_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    """Reports of dataclasses, too."""
    terminal.print_json({"findings": [errors.Finding("here", "broken")]})
    assert capsys.readouterr().out == (
        '{\n  "findings": [\n    {\n      "where": "here",\n      "what": "broken",\n      "kind": "damage",\n'
        '      "healed": false\n    }\n  ]\n}\n'
    )


def test_progress_is_silent_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts and logs get no bars."""
    with terminal.progress("Hashing") as show:
        show(1, 2)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")
