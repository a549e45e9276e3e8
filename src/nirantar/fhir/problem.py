"""What a check of a FHIR element finds: a problem, placed relative to the element that was checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nirantar import limits


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule.

    `code` is of FHIR's issue-type system. `rule` is a sentence without any value of the resource. `at` leads from
    the checked element to the faulty one, as the tail of a FHIRPath: empty, `.name`, `[0]`, `.name[0].given[1]`.
    """

    code: str
    rule: str
    at: str = ""

    def below(self, step: str) -> Problem:
        """The same problem seen from the element that holds this one at `step`."""
        return Problem(self.code, self.rule, step + self.at)


Problems = tuple[Problem, ...]
"""Checks return None, not an empty tuple, where nothing is wrong: that is nearly always, and free."""

Scope = dict[str, str]
"""Id -> resource type of the contained resources that `#id` may mean where an element stands."""


def gathered(found: list[Problem] | None, more: Iterable[Problem], step: str = "") -> list[Problem]:
    """`found` with `more` appended below `step`, up to limits.ISSUES_MAX in all."""
    if found is None:
        found = []
    for problem in more:
        if len(found) >= limits.ISSUES_MAX:
            break
        found.append(problem.below(step))
    return found
