"""What a keeper decides: which logs it knows, what it cosigns, what it takes, what it alarms on."""
