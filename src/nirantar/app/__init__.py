"""Composition root: builds a node from its configuration and runs its background loops."""
