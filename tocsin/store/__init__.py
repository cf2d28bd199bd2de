"""PostgreSQL: tables, and queries by noun."""
