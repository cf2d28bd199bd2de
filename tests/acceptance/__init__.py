"""Tests of the acceptance kind."""
