"""Where redirects led when a file was fetched."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of the files that are there it is not known: the address that their record gives stands for it."""
    op.add_column("files", sa.Column("led_to", sa.Text()))
