"""Every bound of the system, named with its unit. Nothing in Nirantar is unbounded (invariant 7).

A limit is raised here and nowhere else; the error that enforces it quotes its name and value.
"""

from __future__ import annotations

from typing import Final

# Input
REQUEST_BYTES_MAX: Final = 16 * 1024 * 1024
JSON_DEPTH_MAX: Final = 50
RESOURCE_BYTES_MAX: Final = 4 * 1024 * 1024
NUMBER_DIGITS_MAX: Final = 64
NUMBER_EXPONENT_DIGITS_MAX: Final = 2
TRANSACTION_ENTRIES_MAX: Final = 5_000
FORM_FIELDS_MAX: Final = 100
FORM_FIELD_CHARS_MAX: Final = 2_000
ISSUES_MAX: Final = 50

# Entry and journal
ENTRY_BYTES_MAX: Final = 32 * 1024 * 1024
ATTACHMENT_BYTES_MAX: Final = 64 * 1024 * 1024
NODE_NAME_CHARS_MAX: Final = 24
BATCH_MEMBERS_MAX: Final = 256
BATCH_BYTES_MAX: Final = 64 * 1024 * 1024
WRITE_QUEUE_MEMBERS_MAX: Final = 1_024
WRITE_WAIT_SECONDS_MAX: Final = 30.0
CLOCK_AHEAD_SECONDS_MAX: Final = 300

# Search
SEARCH_COUNT_DEFAULT: Final = 20
SEARCH_COUNT_MAX: Final = 500
SEARCH_CRITERIA_MAX: Final = 20
SEARCH_VALUES_MAX: Final = 50
CURSOR_CHARS_MAX: Final = 1_024

# Vault
SEAL_INTERVAL_SECONDS: Final = 1.0
SEGMENT_PLAIN_BYTES_MAX: Final = 8 * 1024 * 1024
SEGMENT_ENTRIES_MAX: Final = 4_096
SEGMENT_HEADER_BYTES_MAX: Final = 4 * 1024 * 1024
VAULT_RETRY_SECONDS_MAX: Final = 30.0
VAULT_LAG_ALARM_SECONDS: Final = 60.0

# Note signatures and proofs
NOTE_BYTES_MAX: Final = 1024 * 1024
NOTE_SIGNATURES_MAX: Final = 100
PROOF_HASHES_MAX: Final = 63

# Sign-in
PASSWORD_HASHES_AT_ONCE_MAX: Final = 2
PASSWORD_CHARS_MAX: Final = 256
SESSION_IDLE_SECONDS: Final = 30 * 60
SESSION_SECONDS_MAX: Final = 12 * 60 * 60
SIGN_IN_FAILURES_MAX: Final = 10
SIGN_IN_FAILURE_WINDOW_SECONDS: Final = 15 * 60
TOKEN_DAYS: Final = 90

# Access log
ACCESS_LOG_FLUSH_SECONDS: Final = 1.0
ACCESS_LOG_QUEUE_MAX: Final = 100_000

# Memory of the node
VIEW_CACHE_BYTES: Final = 64 * 1024 * 1024
READER_CACHE_BYTES: Final = 16 * 1024 * 1024
READERS_MAX: Final = 4
