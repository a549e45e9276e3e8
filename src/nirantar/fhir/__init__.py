"""FHIR R4 rules: validation, transaction Bundles, search parameters, compartments; pure."""
