"""Patient numbers: from the node's block, never twice, and never past its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nirantar.errors import BusinessRule
from nirantar.fold.grants import NumberBlock
from nirantar.interactions.numbers import Numbers, is_valid, with_check_digit
from nirantar.interactions.operations import create
from nirantar.interactions.transaction import Purpose
from simulated_node import BLOCK, INTEGRATION, UHID_SYSTEM, SimulatedNode, a_patient


@pytest.fixture
def node() -> Iterator[SimulatedNode]:
    """A node whose block holds a hundred numbers."""
    with SimulatedNode() as made:
        yield made


def register(node: SimulatedNode, number: str) -> None:
    """A patient who carries a number."""
    patient = a_patient(identifier=[{"system": UHID_SYSTEM, "value": number}])
    node.transact(INTEGRATION, [create(patient)], Purpose("test"))


def test_a_block_is_handed_out_to_its_end_and_no_further(node: SimulatedNode) -> None:
    """Every number of the block, in order, once; then a sentence that says what to do."""
    assert node.numbers.left("uhid") == 100
    taken = [node.numbers.take("uhid") for _ in range(100)]
    assert taken == [with_check_digit(serial) for serial in range(BLOCK.first, BLOCK.last + 1)]
    assert node.numbers.left("uhid") == 0
    with pytest.raises(BusinessRule, match="Ask for a new block"):
        node.numbers.take("uhid")


def test_after_a_restart_only_unused_numbers_come_again(node: SimulatedNode) -> None:
    """What was written down is never issued again; what was only shown may be."""
    used, _ = node.numbers.take("uhid"), node.numbers.take("uhid")
    register(node, used)
    restarted = Numbers(node.view, (BLOCK,))
    assert restarted.take("uhid") == with_check_digit(BLOCK.first + 1)
    assert restarted.left("uhid") == 98


def test_blocks_are_used_one_after_another(node: SimulatedNode) -> None:
    """A second block begins where the first ends, also after a restart in between."""
    blocks = (NumberBlock("uhid", 10, 11), NumberBlock("visit", 1, 9), NumberBlock("uhid", 20, 21))
    numbers = Numbers(node.view, blocks)
    assert [numbers.take("uhid") for _ in range(3)] == [with_check_digit(each) for each in (10, 11, 20)]
    for serial in (10, 11, 20):
        register(node, with_check_digit(serial))
    restarted = Numbers(node.view, blocks)
    assert restarted.left("uhid") == 1
    assert restarted.take("uhid") == with_check_digit(21)


def test_numbers_of_another_hospital_do_not_count(node: SimulatedNode) -> None:
    """An identifier of another system, or outside the block, moves nothing."""
    patient = a_patient(identifier=[
        {"system": "urn:other", "value": with_check_digit(BLOCK.last)}, {"system": UHID_SYSTEM, "value": "99999999"},
    ])
    node.transact(INTEGRATION, [create(patient)], Purpose("test"))
    assert node.numbers.take("uhid") == with_check_digit(BLOCK.first)


@pytest.mark.parametrize("text", ["", "x", "12a4", "-5", "१२३४", " 2363", "2 363"])
def test_what_is_no_number_is_not_valid(text: str) -> None:
    """Letters, signs, blanks and other scripts' digits are refused, not repaired."""
    assert not is_valid(text)
