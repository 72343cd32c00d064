"""Indexes of the SMS operator's view"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("suppression", schema=None) as batch_op:
        batch_op.drop_index("suppression_class")
        batch_op.create_index("suppression_class", ["class", "since_at"], unique=False)
    bad = sa.text("word IN ('failed', 'expired')")
    op.create_index("receipt_bad", "receipt_inbox", ["received_at"], sqlite_where=bad, postgresql_where=bad)
    tests = sa.text("action = 'gateway.test'")
    op.create_index("audit_tests", "audit", ["actor", "at"], sqlite_where=tests, postgresql_where=tests)
    unknown = sa.text("word = 'unknown'")
    op.create_index("counter_unknown", "counter", ["campaign_id"], sqlite_where=unknown, postgresql_where=unknown)


def downgrade() -> None:
    op.drop_index("counter_unknown", table_name="counter")
    op.drop_index("audit_tests", table_name="audit")
    op.drop_index("receipt_bad", table_name="receipt_inbox")
    with op.batch_alter_table("suppression", schema=None) as batch_op:
        batch_op.drop_index("suppression_class")
        batch_op.create_index("suppression_class", ["class"], unique=False)
