"""Tests of the replay kind."""
