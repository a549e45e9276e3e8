"""What was typed, sealed for an address."""

from __future__ import annotations

import pytest

from nirantar.edges.web.typed import seal, unseal
from nirantar.host.simulated import SimulatedHost

SECRET = "s" * 43


@pytest.mark.parametrize("text", ["Asha", "आशा देवी", "9876543210", "a" * 200, "x\ny", ""])
def test_what_was_sealed_opens_for_the_same_session_only(text: str) -> None:
    """Every script comes back whole; another secret opens nothing."""
    sealed = seal(SimulatedHost(1), SECRET, text)
    assert unseal(SECRET, sealed) == text
    assert unseal("t" * 43, sealed) == ""


def test_a_sealed_text_tells_neither_itself_nor_its_repetition() -> None:
    """The same name twice gives two addresses, and names of different length one length."""
    host = SimulatedHost(1)
    first, again, longer = seal(host, SECRET, "Asha"), seal(host, SECRET, "Asha"), seal(host, SECRET, "Asha Devi")
    assert first != again
    assert len(first) == len(longer)
    assert first.isascii()


@pytest.mark.parametrize("sealed", ["", "A", "AAAA", "é", "%", "A" * 1_000, "-_" * 40])
def test_what_nobody_sealed_is_nothing(sealed: str) -> None:
    """Made-up values open to nothing, without an error."""
    assert unseal(SECRET, sealed) == ""


def test_every_altered_character_is_noticed() -> None:
    """A changed address is not a changed search."""
    sealed = seal(SimulatedHost(1), SECRET, "Asha")
    for place, character in enumerate(sealed[:-1]):
        other = "A" if character != "A" else "B"
        assert unseal(SECRET, sealed[:place] + other + sealed[place + 1:]) == ""
