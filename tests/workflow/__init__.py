"""Tests of the workflow kind."""
