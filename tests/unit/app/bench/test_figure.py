"""What benchmarks are judged by: floors in both directions, ratios, percentiles."""

from __future__ import annotations

import pytest

from nirantar.app.bench.figure import Figure, compared, percentile


def _figure(value: float, floor: float | None, *, less_is_better: bool = False) -> Figure:
    return Figure("b", "what", value, "/s", floor, "says", "bound", "sample", less_is_better=less_is_better)


@pytest.mark.parametrize(
    ("value", "floor", "less_is_better", "reached"),
    [
        (1_000.0, 1_000.0, False, True),
        (999.9, 1_000.0, False, False),
        (100.0, 100.0, True, True),
        (100.1, 100.0, True, False),
        (5.0, None, False, None),
    ],
)
def test_a_floor_is_reached_from_its_own_side(
    value: float, floor: float | None, less_is_better: bool, reached: bool | None
) -> None:
    """At the bound itself it is reached; without a floor nothing is claimed."""
    assert _figure(value, floor, less_is_better=less_is_better).reached is reached


def test_a_ratio_is_the_figure_divided_by_its_reference() -> None:
    """Twice as fast as the reference is 2; a reference of nothing gives no ratio rather than an error."""
    assert compared(200.0, "bare", 100.0).ratio == 2.0
    assert compared(200.0, "bare", 0.0).ratio == 0.0


def test_percentiles_are_samples() -> None:
    """Nearest rank: of 100 samples the 99th is the second largest, and one sample is every percentile."""
    samples = [float(each) for each in range(100, 0, -1)]
    assert percentile(samples, 50) == 50.0
    assert percentile(samples, 99) == 99.0
    assert percentile(samples, 100) == 100.0
    assert percentile([7.0], 1) == 7.0
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)
