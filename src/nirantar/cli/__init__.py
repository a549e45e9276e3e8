"""The command line: one file a command. `terminal` prints, `__main__` gathers."""
