"""Cutting resources out of an answer byte for byte."""

from __future__ import annotations

import pytest

from nirantar.app.drill.acknowledgements import Acknowledged, versions_in

ODD = '{"resourceType": "Patient",  "id":"p", "weight":72.50, "text":"a \\u0905 } , [ \\" आ"}'
PLAIN = '{"resourceType":"Encounter","id":"e"}'


def answer(*parts: str) -> bytes:
    """A transaction response around resources as they stand."""
    entries = " , ".join(
        f'{{ "response": {{"location":"http://x/fhir/T/{number}/_history/opd-1.42","status":"201 Created"}}, '
        f'"resource" :{part}}}' for number, part in enumerate(parts)
    )
    return f'\n{{"resourceType":"Bundle", "entry" : [ {entries} ]\n, "type":"transaction-response"}}'.encode()


def test_resources_are_cut_out_as_they_stand() -> None:
    """Blanks, digits, escapes and scripts inside a resource come out exactly as the server wrote them."""
    found = versions_in(answer(ODD, PLAIN))
    assert [each.data.decode() for each in found] == [ODD, PLAIN]
    assert [each.place for each in found] == ["T/0/_history/opd-1.42", "T/1/_history/opd-1.42"]


def test_a_write_knows_its_place_in_the_log() -> None:
    """The entry index and the patient's name are read off the first version."""
    write = Acknowledged(1, 1, versions_in(answer(PLAIN)))
    assert (write.entry_index, write.name) == (42, "T/0")


@pytest.mark.parametrize("body", [
    b"", b"{}", b"[]", b'{"entry":[{}]}', b'{"entry":[{"response":{"location":"a/b/c/d.1"}}]}', b"\xff", answer(PLAIN)[:-30],
])
def test_an_answer_without_resources_is_no_acknowledgement(body: bytes) -> None:
    """What is no whole transaction response with its resources is refused, never half taken."""
    with pytest.raises(ValueError, match=r"\w"):
        versions_in(body)
