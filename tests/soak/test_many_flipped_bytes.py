"""Flipped bytes of a node's databases, as in tests/fault, for many seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from flipped_bytes import check_answers, check_journal, check_view, sealed_site

pytestmark = pytest.mark.soak
FLIPS = 500


@pytest.mark.parametrize("seed", range(1, 21))
def test_every_flipped_byte_is_named_or_unused(tmp_path: Path, seed: int) -> None:
    """Five hundred bits of each database: named and, in the view, healed; or no reader gets anything else."""
    site = sealed_site(tmp_path)
    check_journal(site, seed, FLIPS)
    check_view(site, seed, FLIPS)
    check_answers(site, seed, FLIPS)
