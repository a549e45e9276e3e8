"""Sheets that custodians keep: one A4 page each, a single HTML file that any browser prints and that loads nothing."""

from nirantar.app.sheets.printing import recovery_sheet, share_sheet

__all__ = ["recovery_sheet", "share_sheet"]
