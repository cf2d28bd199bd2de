"""Composition roots, one per process: settings, clients, run, drain."""
