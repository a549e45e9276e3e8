"""FHIR R4's RESTful API over the doors of one node."""

from __future__ import annotations

from nirantar.edges.fhir_rest.application import fhir_app, mounted
from nirantar.edges.fhir_rest.routes import Permission, permission_matrix

__all__ = ["Permission", "fhir_app", "mounted", "permission_matrix"]
