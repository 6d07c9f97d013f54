"""What Alembic runs to reach the database: the connection and its transaction are the caller's."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table_schema="registry")
with context.begin_transaction():
    context.run_migrations()
