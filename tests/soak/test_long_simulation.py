"""The simulation of tests/simulation for a long time: many seeds, long lives."""

from __future__ import annotations

import pytest

from simulated_hospital import SimulatedHospital

pytestmark = pytest.mark.soak
SEEDS_PER_TEST = 100


@pytest.mark.parametrize("first", range(1_000, 3_000, SEEDS_PER_TEST))
def test_every_promise_survives_every_crash_for_many_seeds(first: int) -> None:
    """As in tests/simulation, twice as many lives a seed; a failure names its seed."""
    for seed in range(first, first + SEEDS_PER_TEST):
        hospital = SimulatedHospital(seed, view_lies=bool(seed % 2))
        hospital.run(lives=8)
        assert hospital.trace
