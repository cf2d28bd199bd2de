"""Nomad jobs."""
