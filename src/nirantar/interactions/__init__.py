"""FHIR's own word for doors: the only way to read or write."""
