"""What a benchmark says: a figure, what it is compared with, and what bounds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil


@dataclass(frozen=True, slots=True)
class Reference:
    """Something measured in the same run, in the figure's unit. `ratio` is the figure divided by it."""

    name: str
    value: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One result. `floor` is the bound it is held to, in `unit` (None: measured for its own sake), at least or, where
    `less_is_better`, at most. `floor_says` is that bound as it was promised, `bounded_by` one sentence on what keeps
    the figure from being better, `sample` what it was measured on."""

    benchmark: str
    what: str
    value: float
    unit: str
    floor: float | None
    floor_says: str
    bounded_by: str
    sample: str
    references: tuple[Reference, ...] = ()
    less_is_better: bool = False
    reached: bool | None = field(init=False)

    def __post_init__(self) -> None:
        """Judge the value by its floor."""
        reached = None
        if self.floor is not None:
            reached = self.value <= self.floor if self.less_is_better else self.value >= self.floor
        object.__setattr__(self, "reached", reached)


def compared(value: float, name: str, reference: float) -> Reference:
    """A reference with its ratio."""
    return Reference(name, reference, value / reference if reference else 0.0)


def percentile(samples: list[float], percent: float) -> float:
    """The smallest sample that at least `percent` of all are not above (nearest rank). Raises ValueError for none."""
    if not samples:
        raise ValueError("no samples, no percentile")
    return sorted(samples)[max(0, ceil(len(samples) * percent / 100) - 1)]
