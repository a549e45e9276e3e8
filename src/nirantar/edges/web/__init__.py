"""The desk in a browser: plain HTML pages that work without script, for staff who sign in."""
