"""From the stream to running workflows, and what keeps the books of it."""
