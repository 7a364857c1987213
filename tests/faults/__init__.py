"""Fault injection on real servers: processes are killed and frozen, networks cut, and no word may be lost.

`make faults` runs the long rounds.
"""
