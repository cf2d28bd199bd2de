"""Tests of the integration kind."""
