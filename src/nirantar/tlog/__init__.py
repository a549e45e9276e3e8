"""Transparency-log mathematics and formats (RFC 6962, C2SP); pure."""
