"""The permission matrix: every page of the desk, who may use it, and what answers. Nothing else is served."""

from __future__ import annotations

from typing import Final

from nirantar.edges.web.gate import PUBLIC, Page
from nirantar.edges.web.handlers import (
    correcting,
    demonstrating,
    finding,
    history,
    operating,
    record,
    registering,
    signing_in,
    slip,
)
from nirantar.edges.web.permissions import (
    CHART_READERS,
    DISCLOSERS,
    EVERYBODY,
    OPERATORS,
    REGISTRARS,
    SLIP_PRINTERS,
)

PAGES: Final = (
    Page("GET", "/", EVERYBODY, signing_in.home),
    Page("GET", "/sign-in", PUBLIC, signing_in.form),
    Page("POST", "/sign-in", PUBLIC, signing_in.sign_in),
    Page("POST", "/sign-out", PUBLIC, signing_in.sign_out),
    Page("GET", "/patients", CHART_READERS, finding.patients),
    Page("POST", "/patients", CHART_READERS, finding.search),
    Page("GET", "/patients/new", REGISTRARS, registering.form),
    Page("POST", "/patients/new", REGISTRARS, registering.submit),
    Page("GET", "/patients/{patient_id}", CHART_READERS, record.record),
    Page("GET", "/patients/{patient_id}/safe", CHART_READERS, record.safe),
    Page("GET", "/patients/{patient_id}/proof", CHART_READERS, record.proof),
    Page("POST", "/patients/{patient_id}/disclosure", DISCLOSERS, record.disclose),
    Page("GET", "/patients/{patient_id}/history", CHART_READERS, history.of_patient),
    Page("GET", "/patients/{patient_id}/history/{type}/{id}", CHART_READERS, history.of_resource),
    Page("GET", "/patients/{patient_id}/correct", REGISTRARS, correcting.form),
    Page("POST", "/patients/{patient_id}/correct", REGISTRARS, correcting.submit),
    Page("POST", "/patients/{patient_id}/visits", REGISTRARS, record.open_visit),
    Page("GET", "/patients/{patient_id}/slip", SLIP_PRINTERS, slip.slip),
    Page("GET", "/status", EVERYBODY, operating.status),
    Page("GET", "/staff", OPERATORS, operating.staff),
    Page("POST", "/staff", OPERATORS, operating.add),
    Page("GET", "/staff/{login}", OPERATORS, operating.account),
    Page("POST", "/staff/{login}", OPERATORS, operating.change),
    Page("POST", "/demo/{action}", PUBLIC, demonstrating.press),
)

MENU: Final = (
    ("/patients", "Find a patient", CHART_READERS),
    ("/patients/new", "Register a patient", REGISTRARS),
    ("/staff", "Staff", OPERATORS),
    ("/status", "Status", EVERYBODY),
)
"""What the header offers: path, label, and whose."""
