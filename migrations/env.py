"""Alembic's entry: the migrations run on the connection that `migrations.upgrade` opened."""

from alembic import context

from tocsin.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
