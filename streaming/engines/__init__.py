"""Engines turn audio into results: the interface, the registry, and a package or module for each."""
