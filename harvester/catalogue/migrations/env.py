"""Runs the migrations on the connection that `open_catalogue` hands over."""

from alembic import context

from harvester.catalogue.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the caller's transaction spans all of it
)
context.run_migrations()
