"""The faults: real servers, killed and frozen at random, and every word there once in the end. `make faults`."""
