"""The only door to clock, randomness, disk and keys; a simulated twin ships beside the real one."""
