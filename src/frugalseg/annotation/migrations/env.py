"""How Alembic runs our migrations: on the connection it is given, each in a transaction of its own."""

from alembic import context

from frugalseg.annotation.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
