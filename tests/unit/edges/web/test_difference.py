"""Field by field: what a history page says changed."""

from __future__ import annotations

from nirantar.edges.web.difference import FieldChange, difference, label_of


def test_a_changed_field_has_both_values_and_a_plain_name() -> None:
    """Only what differs is listed, under the desk's word for it; meta never is."""
    before = {"resourceType": "Patient", "id": "p", "meta": {"versionId": "a.1"}, "name": [{"text": "Old"}], "gender": "male"}
    after = {**before, "meta": {"versionId": "a.2"}, "name": [{"text": "New"}]}
    assert difference(before, after) == (FieldChange("Name", "name[0].text", "Old", "New"),)


def test_added_and_removed_fields_are_empty_on_one_side() -> None:
    """A field that was not there before, or is no longer, is listed once."""
    found = difference({"birthDate": "1974"}, {"telecom": [{"value": "9"}]})
    assert [(each.label, each.before, each.after) for each in found] == [("Phone", "", "9"), ("Birth date", "1974", "")]


def test_a_first_version_and_a_deletion_are_all_new_or_all_gone() -> None:
    """None stands for nothing."""
    assert [each.after for each in difference(None, {"active": True})] == ["yes"]
    assert [each.before for each in difference({"active": False}, None)] == ["no"]
    assert difference(None, None) == ()


def test_an_unknown_path_is_told_in_words() -> None:
    """Element names are parted, and later items are counted from 1."""
    assert label_of("maritalStatus.coding[0].code") == "marital status, coding, code"
    assert label_of("identifier[1].value") == "identifier 2, value"
