"""One way of telling somebody per file."""
