"""Engines turn audio into results: the interface, the registry of engines, and a package or module for each engine."""
