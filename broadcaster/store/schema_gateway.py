"""Tables of what comes back from providers, phones and devices, and of how the providers stand."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from broadcaster.store.schema_base import Id, metadata

receipt_inbox = Table(
    "receipt_inbox",
    metadata,
    Column("id", Id, primary_key=True),
    Column("provider", Text, nullable=False),  # provider of a message, or speaker | board
    Column("dedupe_key", Text, nullable=False),
    Column("campaign_id", Integer),
    Column("n", Integer),
    Column("word", Text, nullable=False),  # an outcome or a proof, already in our words
    Column("at", BigInteger),  # the sender's own clock
    Column("received_at", BigInteger, nullable=False),
    Column("raw", Text, nullable=False),
    Column("reason", Text),
    Column("ref", Text),  # provider's id of the message
    Column("folded_at", BigInteger),
    Column("fate", Text),  # moved | kept | unmatched | contradicts | unknown-word | test
    UniqueConstraint("provider", "dedupe_key", name="receipt_once"),
    Index(
        "receipt_open",
        "id",
        sqlite_where=text("folded_at IS NULL"),
        postgresql_where=text("folded_at IS NULL"),
    ),
    Index("receipt_received", "received_at"),
    # What providers told of messages that did not arrive, for the operator's view: most receipts are not in it.
    Index(
        "receipt_bad",
        "received_at",
        sqlite_where=text("word IN ('failed', 'expired')"),
        postgresql_where=text("word IN ('failed', 'expired')"),
    ),
    # The rare ones that may count later; with these two, nothing ever looks through all that was folded.
    Index(
        "receipt_kept",
        "campaign_id",
        "n",
        sqlite_where=text("fate = 'kept' AND word IN ('failed', 'expired')"),
        postgresql_where=text("fate = 'kept' AND word IN ('failed', 'expired')"),
    ),
    Index(
        "receipt_unmatched",
        "received_at",
        sqlite_where=text("fate = 'unmatched'"),
        postgresql_where=text("fate = 'unmatched'"),
    ),
)

# What phones answered. The number is sealed as a recipient's is.
reply = Table(
    "reply",
    metadata,
    Column("id", Id, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("dedupe_key", Text, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("at", BigInteger),  # the provider's clock
    Column("address_sealed", LargeBinary, nullable=False),
    Column("address_key", LargeBinary, nullable=False),
    Column("recipient_id", BigInteger),  # NULL: a number that is none of ours
    Column("campaign_id", Integer),  # of the last message that this number was sent, if that was not long ago
    Column("n", Integer),
    Column("text", Text, nullable=False),
    Column("kind", Text, nullable=False),  # opt-out | confirmation | other
    Column("urgent", Integer, nullable=False, server_default="0"),  # 1: it may tell of a fire
    Column("seen_at", BigInteger),
    Column("seen_by", Text),
    UniqueConstraint("provider", "dedupe_key", name="reply_once"),
    Index("reply_open", "urgent", "id", sqlite_where=text("seen_at IS NULL AND kind = 'other'"),
          postgresql_where=text("seen_at IS NULL AND kind = 'other'")),
    Index("reply_received", "received_at"),
)  # fmt: skip

# How each provider stood when somebody last dealt with it, by lane; lane '' = the provider as a whole.
provider_state = Table(
    "provider_state",
    metadata,
    Column("provider", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("state", Text, nullable=False),  # ok | stopped (reaches nobody) | standby (another one stands in for it)
    Column("since_at", BigInteger, nullable=False),
    Column("reason", Text),
    Column("detail", Text),
    Column("seen_at", BigInteger, nullable=False),
    Column("queued", BigInteger),
    Column("balance", Text),  # "12.50 USD"
    PrimaryKeyConstraint("provider", "lane"),
)

# The moment at which a provider's rate allows the next message of a lane, shared by all workers. Microseconds since the epoch.
# Also when what one of all processes does is due again (providers.take_turn): `lane` then says what that is.
provider_rate = Table(
    "provider_rate",
    metadata,
    Column("provider", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("free_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("provider", "lane"),
)
