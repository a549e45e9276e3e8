"""The desk over HTTP: finding, registering, correcting, and what a page says of where a record is safe."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from web_client import KAMLA, Desk, open_node, written

from nirantar.app.node import Node
from nirantar.errors import ProofInvalid
from nirantar.interactions.authorize import Caller
from nirantar.interactions.verify_proof import verify_chart_proof
from nirantar.tlog.merkle import leaf_hash
from nirantar.tlog.note import Verifier
from nirantar.tlog.proof import LogProof

OFFICER = Caller("staff:mira", "Mira Das", "mrd-officer", "web:test")
CLERK = Caller("staff:asha", "Asha Rao", "registration-clerk", "web:test")
HOSTILE = "<script>alert('x')</script> '; DROP TABLE patient; -- ../../etc/passwd {{ 7*7 }}"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One node for the module."""
    with open_node(tmp_path_factory.mktemp("desk")) as opened:
        yield opened


@pytest.fixture
def desk(node: Node) -> Iterator[Desk]:
    """A clerk at a browser."""
    browser = Desk(node)
    browser.use_session_of(CLERK)
    yield browser
    browser.close()


def test_a_registration_is_found_again_by_number_phone_and_name_in_either_script(desk: Desk) -> None:
    """One box finds the patient by UHID with or without spaces, by phone with a prefix, and by both spellings."""
    record = desk.register(name="मीनाक्षी वर्मा", phone="9111111111", relation="", relative_name="")
    number = re.search(r"The UHID is <span class=\"number\">([0-9 ]+)<", desk.page.text)
    assert number is not None
    for typed in (number.group(1), number.group(1).replace(" ", ""), "9111111111", "+91 91111 11111", "मीनाक्षी", "वर्मा"):
        assert f'href="{record}"' in desk.find(typed).text, typed
    latin = desk.register(name="Minakshi Verma", phone="9111111112", relation="", relative_name="")
    assert f'href="{latin}"' in desk.find("मीनाक्षी").text


def test_a_wrong_check_digit_is_said_to_be_one(desk: Desk) -> None:
    """A mistyped UHID opens nobody's record and says why."""
    desk.register(phone="9111111113")
    found = re.search(r"The UHID is <span class=\"number\">([0-9 ]+)<", desk.page.text)
    assert found is not None
    number = found.group(1).replace(" ", "")
    mistyped = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert "check digit is wrong" in desk.find(mistyped).text


@pytest.mark.parametrize("typed", ["zzzz", "x", "9999999990", HOSTILE, "अज्ञात", "a,b|c$d\\e", "%00", "A1-XYZ"])
def test_a_search_without_a_match_says_so_and_offers_the_next_step(desk: Desk, typed: str) -> None:
    """Whatever is typed, the page is whole, repeats it escaped, and nothing is found that is not there."""
    page = desk.find(typed)
    assert page.status_code == 200
    assert "Register a patient" in page.text
    assert "<script>alert" not in page.text


def test_what_was_typed_is_in_no_address(desk: Desk) -> None:
    """Neither the search nor the way on to a registration names anybody where a proxy's log would keep it; Back and
    reload find the same again, and the form for a new patient begins with the name that nobody had."""
    page = desk.find("Zubeida Nowhere")
    address = str(page.url)
    onward = re.search(r'href="(/patients/new\?[^"]+)"', page.text)
    assert onward is not None
    for path in (address, onward.group(1)):
        assert "Zubeida" not in path
    assert 'value="Zubeida Nowhere"' in desk.get(address).text
    desk.get(onward.group(1))
    assert desk.fields("/patients/new")["name"] == "Zubeida Nowhere"
    assert desk.find("9876500000").status_code == 200
    desk.get(str(desk.page.url).replace("/patients?", "/patients/new?"))
    assert desk.fields("/patients/new")["name"] == ""


def test_what_one_session_typed_no_other_can_read(desk: Desk) -> None:
    """An address copied to somebody else, cut short, or made up shows an empty box."""
    address = str(desk.find("Zubeida Nowhere").url)
    for changed in (address[:-3], address + "A", "/patients?typed=", "/patients?typed=é", "/patients?q=Zubeida"):
        assert desk.get(changed).status_code == 200
        assert "Zubeida" not in desk.page.text
    desk.use_session_of(CLERK)
    assert "Zubeida" not in desk.get(address).text


def test_a_form_with_mistakes_comes_back_with_all_that_was_typed(desk: Desk) -> None:
    """Each wrong field has its sentence beside it, hostile text is escaped, and nothing was saved."""
    before = written(desk.node)
    desk.get("/patients/new")
    page = desk.send("/patients/new", {**KAMLA, "phone": "12", "pin": "x", "address": HOSTILE, "name": "<b>"})
    assert page.status_code == 400
    for field in ("phone", "pin", "name"):
        assert f'id="{field}-wrong"' in page.text
    assert "<script>alert" not in page.text
    shown = desk.fields("/patients/new")
    assert (shown["address"], shown["phone"], shown["relative_name"]) == (HOSTILE, "12", KAMLA["relative_name"])
    assert written(desk.node) == before


@pytest.mark.parametrize("department", ["Astrology", "cardiology", HOSTILE, ""])
def test_a_department_that_the_hospital_lacks_is_a_field_error(desk: Desk, department: str) -> None:
    """Registering and opening a visit take a department of the list only; the sentence is beside the field, what was
    typed stays, and nothing is saved."""
    before = written(desk.node)
    desk.get("/patients/new")
    page = desk.send("/patients/new", {**KAMLA, "department": department})
    assert page.status_code == 400
    assert 'id="department-wrong"' in page.text
    shown = desk.fields("/patients/new")
    assert (shown["department"], shown["name"]) == (department, KAMLA["name"])
    assert written(desk.node) == before


@pytest.mark.parametrize("department", ["Astrology", HOSTILE, ""])
def test_a_visit_to_no_department_of_the_hospital_is_a_field_error(desk: Desk, department: str) -> None:
    """The record comes back with the sentence beside the field and the same key; nothing is saved."""
    record = desk.register(phone="9111111131")
    before = written(desk.node)
    sent = {**desk.fields(f"{record}/visits"), "department": department}
    page = desk.post(f"{record}/visits", sent)
    assert page.status_code == 400
    assert 'id="department-wrong"' in page.text
    assert "<script>alert" not in page.text
    assert desk.fields(f"{record}/visits")["key"] == sent["key"]
    assert written(desk.node) == before


def test_hostile_text_in_a_record_is_shown_as_text(desk: Desk) -> None:
    """What is stored is what was typed; every page that shows it escapes it."""
    record = desk.register(address=HOSTILE, phone="9111111114")
    for path in (record, f"{record}/history", f"{record}/slip", f"{record}/correct"):
        page = desk.get(path)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "{{ 7*7 }}" in page.text


def test_sending_the_form_again_never_makes_a_second_patient(desk: Desk) -> None:
    """A double press, and the same form sent later, both lead to the one record."""
    desk.get("/patients/new")
    form = {**desk.fields("/patients/new"), **KAMLA, "name": "Doubly Sent", "phone": "9111111115"}
    before = written(desk.node)
    answers = desk.post_twice_at_once("/patients/new", form)
    again = desk.post("/patients/new", form, follow=False)
    places = {answer.headers["location"] for answer in (*answers, again)}
    assert len(places) == 1
    assert written(desk.node) == before + 1


def test_a_likely_duplicate_is_shown_before_anything_is_made(desk: Desk) -> None:
    """The same person in another script is asked about; saying it is another one registers with all fields kept."""
    record = desk.register(name="सावित्री बाई", phone="9111111116")
    before = written(desk.node)
    desk.get("/patients/new")
    page = desk.send("/patients/new", {**KAMLA, "name": "Savitri Bai", "phone": "9111111116"})
    assert "Is this the same person?" in page.text
    assert f'href="{record}"' in page.text
    assert written(desk.node) == before
    page = desk.send("/patients/new")
    assert "Registered." in page.text
    assert "Savitri Bai" in page.text
    assert "12 Rampur" in page.text


def test_the_record_says_when_the_vault_has_it(desk: Desk) -> None:
    """The page's line, and what its script asks for, go from saved here to copied to vault, with entry and version."""
    record = desk.register(phone="9111111117")
    assert "Saved here" in desk.page.text
    safe = desk.get(f"{record}/safe").json()
    for _ in range(200):
        if safe["in_vault"]:
            break
        time.sleep(0.05)
        safe = desk.get(f"{record}/safe").json()
    assert safe["in_vault"]
    assert safe["version_id"] == f"opd-1.{safe['entry_index']}"
    page = desk.get(record).text
    assert "Copied to vault" in page
    # Jinja escapes the apostrophe.
    assert "not safe from this machine" in page


def test_the_record_gives_a_proof_that_needs_only_the_nodes_key(desk: Desk) -> None:
    """The downloaded file proves this very entry under the node's signature, and no other entry."""
    record = desk.register()
    desk.get(record)
    answer = desk.request("GET", f"{record}/proof")
    assert answer.status_code == 200
    assert ".tlog-proof" in answer.headers["content-disposition"]
    proof = LogProof.parse(answer.content)
    reader, origin = desk.node.reader, desk.node.papers.origin
    verifier = Verifier.parse(reader.origins()[origin])
    leaf = leaf_hash(reader.entry(origin, proof.entry_index))
    assert proof.verify(leaf, verifier).origin == origin
    with pytest.raises(ProofInvalid):
        proof.verify(leaf_hash(reader.entry(origin, proof.entry_index) + b" "), verifier)


def test_medical_records_give_a_proven_copy_of_the_whole_chart(desk: Desk) -> None:
    """The form is there for them alone; without a reason nothing is given; the file proves the person and the visit."""
    record = desk.register(phone="9111111150")
    assert f'action="{record}/disclosure"' not in desk.get(record).text
    desk.use_session_of(OFFICER)
    desk.get(record)
    assert "for whom and why" in desk.send(f"{record}/disclosure", {"reason": " "}).text
    desk.get(record)
    answer = desk.send(f"{record}/disclosure", {"reason": "Court order 12/2026"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert ".nirantar-proof.zip" in answer.headers["content-disposition"]
    verdict = verify_chart_proof(answer.content, Verifier.parse(desk.node.papers.document.authority))
    assert sorted(each.resource.partition("/")[0] for each in verdict.resources) == ["Coverage", "Encounter", "Patient"]
    assert (verdict.disclosed_by, verdict.reason) == (OFFICER.actor, "Court order 12/2026")


def test_a_correction_is_in_the_history_with_who_why_and_what(desk: Desk) -> None:
    """The newest version is first, with its reason, its author and the field before and after."""
    record = desk.register(name="Wrong Name", phone="9111111118")
    desk.get(f"{record}/correct")
    page = desk.send(f"{record}/correct", {"name": "Right Name", "reason": "seen on the ration card"})
    assert "Corrected." in page.text
    history = desk.get(f"{record}/history").text
    assert history.index("Corrected") < history.index("Registered")
    assert "seen on the ration card" in history
    assert "<del>Wrong Name</del>" in history
    assert "<ins>Right Name</ins>" in history


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"name": "Other Name", "reason": ""}, "Say why"),
    ({"reason": "nothing"}, "Nothing was changed"),
    ({"phone": "1", "reason": "typo"}, "10 digits"),
])
def test_a_correction_that_is_wrong_changes_nothing(desk: Desk, changes: dict[str, str], sentence: str) -> None:
    """A missing reason, no change or a wrong field come back as a sentence; the record stays at its version."""
    record = desk.register(phone="9111111119")
    before = written(desk.node)
    desk.get(f"{record}/correct")
    page = desk.send(f"{record}/correct", changes)
    assert page.status_code == 400
    assert sentence in page.text
    assert written(desk.node) == before


def test_a_stale_correction_shows_both_versions_and_can_be_put_on_top(desk: Desk) -> None:
    """Somebody was faster: nothing is lost silently, and only the own change goes upon the newer version."""
    record = desk.register(name="Stale Case", phone="9111111120")
    desk.get(f"{record}/correct")
    opened = desk.fields(f"{record}/correct")
    desk.send(f"{record}/correct", {"district": "Lucknow", "reason": "moved"})
    page = desk.post(f"{record}/correct", {**opened, "phone": "9222222222", "reason": "new SIM"})
    assert page.status_code == 409
    assert "Somebody else changed this record" in page.text
    assert "Lucknow" in page.text
    assert "moved" in page.text
    page = desk.send(f"{record}/correct")
    assert "Corrected." in page.text
    assert "9222222222" in page.text
    assert "Lucknow" in page.text


def test_another_visit_is_opened_once(desk: Desk) -> None:
    """The same press twice opens one visit, which the record and the slip then show."""
    record = desk.register(phone="9111111121")
    form = {**desk.fields(f"{record}/visits"), "department": "Cardiology"}
    before = written(desk.node)
    desk.post(f"{record}/visits", form)
    page = desk.post(f"{record}/visits", form)
    assert "The visit is open." in page.text
    assert written(desk.node) == before + 1
    assert "Cardiology" in desk.get(f"{record}/slip").text


def test_the_slip_is_bilingual_and_carries_number_and_place_in_the_log(desk: Desk) -> None:
    """The slip has the UHID as text and as a code, Hindi labels, and the entry that paper is checked against."""
    record = desk.register(phone="9111111122")
    slip = desk.get(f"{record}/slip").text
    assert "<svg" in slip
    assert "पंजीकरण संख्या" in slip
    assert re.search(r"opd-1 · entry \d+ · version opd-1\.\d+", slip)


def test_an_unidentified_patient_is_marked_temporary(desk: Desk) -> None:
    """Neither name nor age is needed, and every page says that the identity is temporary."""
    desk.get("/patients/new")
    page = desk.send("/patients/new", {"unidentified": "yes", "gender": "male", "department": "Emergency"})
    assert "Unknown male" in page.text
    assert "Temporary identity" in page.text


@pytest.mark.parametrize("path", [
    "/patients/nobody", "/patients/..%2f..%2fetc%2fpasswd", "/patients/%00", "/patients/nobody/history",
    "/patients/nobody/correct", "/patients/nobody/slip", "/patients/NirantarAccount", "/nothing", "/static/../pages.py",
    "/static/nothing.css", "/staff/../etc", "/patients/nobody/history/NirantarAccount/asha",
])
def test_what_is_not_there_is_a_sentence_with_a_way_back(desk: Desk, path: str) -> None:
    """Wrong addresses are 404 (or 403 where the role has no use of them), as a page of the desk."""
    page = desk.get(path)
    assert page.status_code in (403, 404)
    if not path.startswith("/static"):
        assert "To the start page" in page.text


def test_a_wrong_method_is_a_sentence_with_a_way_back(desk: Desk) -> None:
    """405 is a page, too."""
    answer = desk.request("DELETE", "/patients")
    assert answer.status_code == 405
    assert "To the start page" in answer.text


def test_another_patients_resource_is_not_shown_under_this_one(desk: Desk) -> None:
    """A resource's history is reached only through the patient whom it is about."""
    one = desk.register(name="First Person", phone="9111111123")
    visit = re.search(rf"{one}/history/Encounter/[0-9a-f-]+", desk.page.text)
    assert visit is not None
    assert desk.get(visit.group()).status_code == 200
    other = desk.register(name="Other Human", phone="9111111124")
    assert desk.get(visit.group().replace(one, other)).status_code == 404


def test_every_page_says_that_it_is_not_for_patients_yet(desk: Desk) -> None:
    """The footer of every page, failures included."""
    for path in ("/patients", "/patients/new", "/status", "/sign-in", "/nothing", "/staff"):
        assert "Not for patients yet" in desk.get(path).text


def test_the_status_page_names_the_vaults_danger_and_the_nodes_log(desk: Desk) -> None:
    """A file vault is labelled for what it is, and the entries are counted."""
    page = desk.get("/status").text
    assert "not safe from this machine" in page
    assert desk.node.papers.origin in page


def test_the_status_page_shows_the_last_snapshot(desk: Desk) -> None:
    """When it was taken, how large it was, and how many vaults hold it."""
    assert "none yet" in desk.get("/status").text
    snapshotter = desk.node.snapshotter
    assert snapshotter is not None
    snapshotter.step()
    page = desk.get("/status").text
    assert re.search(r"Last snapshot</dt><dd>[^<]*\d\d:\d\d[^<]*, 0\.\d MB, in 1 of 1 vaults</dd>", page)
    assert "Trouble with snapshots" not in page


def test_a_node_without_a_vault_says_so(tmp_path: Path) -> None:
    """No vault: the record and the status page say that the disk is all there is."""
    with open_node(tmp_path, vault=False) as alone:
        browser = Desk(alone)
        browser.use_session_of(CLERK)
        browser.register()
        assert "Not in the vault yet" in browser.page.text
        assert "has no vault" in browser.page.text
        assert "it has no vault" in browser.get("/status").text
        browser.close()


def test_the_status_page_is_red_until_the_recovery_sheet_was_read_back(tmp_path: Path) -> None:
    """It says what was never tried, and the node serves all the same."""
    with open_node(tmp_path) as node:
        browser = Desk(node)
        browser.use_session_of(CLERK)
        page = browser.get("/status").text
        assert '<p class="verdict bad">The recovery sheet has never been read back.' in page
        assert "This node serves" in page
        browser.close()
