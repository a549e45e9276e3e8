"""`nirantar bench` from outside: what it reports, and that it only measures."""

from __future__ import annotations

from pathlib import Path

from commands import nirantar


def test_a_benchmark_reports_its_figure_beside_its_reference(tmp_path: Path) -> None:
    """One JSON object with the machine and each figure's value, unit, floor, references and bound; nothing is left
    behind, and the exit code is 0 whether the floor was reached or not."""
    document = nirantar("bench", "--only", "checkpoint", "--only", "vault-latency", "--directory", tmp_path, "--json").document
    assert document["machine"]["cores"] >= 1
    assert [each["benchmark"] for each in document["figures"]] == ["checkpoint", "vault-latency"]
    for figure in document["figures"]:
        assert figure["value"] > 0
        assert figure["bounded_by"]
        assert all(each["value"] > 0 and each["ratio"] > 0 for each in figure["references"])
    assert document["figures"][1]["reached"] in (True, False)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_benchmark_is_named_with_those_there_are() -> None:
    """A wrong name is a wrong input, and the sentence lists the right ones."""
    assert "registrations" in nirantar("bench", "--only", "speed", code=2).err
