"""The operators' HTTP interface; the command is its client."""
