"""FHIR data that others made: Synthea's patients, where their folder lies beside the project or a directory above it.

They are not copied into the project. A checkout without them beside it tests the same promises on charts of our own
generator, so that a clone anywhere can be tested; which of the two was used is in the folder's name.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from nirantar.app.bench.synthetic import chart_bundle
from nirantar.fhir import json

SYNTHEA_RESOURCES = 2_767
SYNTHEA_FILES = 24
_CHARTS = 12
_OBSERVATIONS = 20


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder that is removed when this process ends: until then the cache keeps it."""
    return tempfile.TemporaryDirectory(prefix="nirantar-charts-")


@cache
def bundles() -> Path:
    """A folder of FHIR transaction Bundles, one a file."""
    for directory in Path(__file__).resolve().parents:
        folder = directory / "shared" / "data" / "synthea"
        if folder.is_dir():
            return folder
    folder = Path(_scratch().name)
    for number in range(_CHARTS):
        (folder / f"chart-{number:02d}.json").write_bytes(json.encode(chart_bundle(number, observations=_OBSERVATIONS)))
    return folder


def is_synthea() -> bool:
    """Whether the data is really others'."""
    return bundles().name == "synthea"
