"""Runs the migrations on the connection that `open_catalogue` hands over."""

from alembic import context
from sqlalchemy import text

from harvester.catalogue.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the caller's transaction spans all of it
)
if connection.dialect.name == "postgresql":
    connection.execute(text("SET LOCAL statement_timeout = 0"))  # a large table takes its time
context.run_migrations()
if connection.dialect.name == "postgresql":
    # Texts in the order of their bytes, as in SQLite, whatever the database's language; and no index is
    # damaged when the system's rules for sorting change.
    others = """
        SELECT table_name, column_name, udt_name, character_maximum_length FROM information_schema.columns
        WHERE table_schema = current_schema() AND udt_name IN ('text', 'varchar')
            AND collation_name IS DISTINCT FROM 'C'"""
    for table, column, kind, length in connection.execute(text(others)).all():
        full = f"{kind}({length})" if length else kind
        connection.execute(text(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" TYPE {full} COLLATE "C"'))
