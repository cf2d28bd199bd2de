"""One kind of sender per file."""
