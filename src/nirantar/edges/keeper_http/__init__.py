"""The keeper's HTTP side: put, get, list, and the C2SP witness. No path deletes."""

from nirantar.edges.keeper_http.application import keeper_app

__all__ = ["keeper_app"]
