"""Alembic's entry: runs the versions on the engine that the program hands over."""

from alembic import context

from broadcaster.store.schema import metadata

engine = context.config.attributes["engine"]
with engine.connect().execution_options(begin="IMMEDIATE" if engine.dialect.name == "sqlite" else "") as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
