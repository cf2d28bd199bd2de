"""The one-machine stack: real servers started from their wheels."""
