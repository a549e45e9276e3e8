"""Nirantar: the hospital system that a ransomware attack cannot stop. The log is the hospital."""

__version__ = "0.1.0"
