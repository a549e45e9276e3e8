"""Groups of roles that the permission matrix is made of; what each may read and write: interactions/authorize.py."""

from __future__ import annotations

from typing import Final

EVERYBODY: Final = frozenset({
    "registration-clerk", "doctor", "nurse", "lab-technician", "pathologist", "pharmacist", "cashier", "mrd-officer",
    "it-security", "auditor",
})
"""Every role that a person can have."""
CHART_READERS: Final = EVERYBODY - {"it-security", "auditor"}
"""Roles that may look a patient up; the doors then show each what its role may see."""
REGISTRARS: Final = frozenset({"registration-clerk", "mrd-officer"})
"""Roles that register patients and correct what was registered."""
SLIP_PRINTERS: Final = REGISTRARS | {"doctor", "nurse"}
DISCLOSERS: Final = frozenset({"mrd-officer"})
"""Roles that may give a chart, proven, out of the hospital."""
OPERATORS: Final = frozenset({"it-security"})
