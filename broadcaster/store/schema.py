"""The tables, once, for SQLite and PostgreSQL.

Times are BIGINT milliseconds since the epoch (UTC) in columns `*_at`. Places are 12-digit strings. JSON is kept as text,
because its digest is taken over exactly those bytes.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from broadcaster.model import CampaignState, Category, Mode, Outcome
from broadcaster.store.schema_base import Id, metadata, one_of
from broadcaster.store.schema_gateway import provider_rate, provider_state, receipt_inbox, reply
from broadcaster.store.schema_people import (
    api_token,
    audience,
    group_member,
    place,
    premises,
    recipient,
    recipient_group,
    sign_in_link,
    suppression,
    unit,
    unit_place,
    user,
    web_session,
)

__all__ = [
    "api_token",
    "attempt",
    "audience",
    "audit",
    "bus_record",
    "campaign",
    "campaign_told",
    "chunk",
    "counter",
    "cut",
    "dead_letter",
    "delivery",
    "device",
    "feed_item",
    "feed_version",
    "group_member",
    "idempotency",
    "lease",
    "metadata",
    "place",
    "premises",
    "provider_rate",
    "provider_state",
    "receipt_inbox",
    "recipient",
    "recipient_group",
    "reply",
    "sign_in_link",
    "suppression",
    "unit",
    "unit_place",
    "user",
    "web_session",
    "wording",
]

campaign = Table(
    "campaign",
    metadata,
    Column("id", Id, primary_key=True),
    Column("public_id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("template_set", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("level", Text),
    Column("state", Text, nullable=False),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("follows_id", Id, ForeignKey("campaign.id")),  # the campaign this one corrects, updates or repeats
    Column("follows_how", Text),  # correction | update | repeat
    Column("facts", Text, nullable=False),  # JSON
    Column("selection", Text, nullable=False),  # JSON of Selection
    Column("channels", Text, nullable=False),  # JSON list
    Column("not_before_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("epoch", Integer, nullable=False, server_default="0"),
    Column("version", Integer, nullable=False, server_default="0"),  # rises at every edit; a stale page is refused
    Column("sealed_digest", Text),
    Column("planned", Integer),
    Column("parts", Integer),
    Column("cost", BigInteger),  # thousandths of the currency unit
    Column("author_id", Id, ForeignKey("app_user.id"), nullable=False),
    Column("editor_id", Id, ForeignKey("app_user.id"), nullable=False),  # last to change it; may not approve either
    Column("approver_id", Id, ForeignKey("app_user.id")),
    Column("reason", Text),  # of the last return or cancel
    Column("created_at", BigInteger, nullable=False),
    Column("submitted_at", BigInteger),
    Column("approved_at", BigInteger),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("cancelled_at", BigInteger),
    Column("receipts_closed_at", BigInteger),  # every accepted SMS has its final receipt, or the mark that none came
    one_of("category", Category),
    one_of("mode", Mode),
    one_of("state", CampaignState),
    CheckConstraint("approver_id IS NULL OR approver_id <> author_id", name="two_people"),
    Index("campaign_open", "state", sqlite_where=text("state IN ('approved', 'running')"),
          postgresql_where=text("state IN ('approved', 'running')")),
    Index("campaign_receipts", "started_at",
          sqlite_where=text("started_at IS NOT NULL AND receipts_closed_at IS NULL"),
          postgresql_where=text("started_at IS NOT NULL AND receipts_closed_at IS NULL")),
)  # fmt: skip

wording = Table(
    "wording",
    metadata,
    Column("id", Id, primary_key=True),
    Column("campaign_id", Id, ForeignKey("campaign.id"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("languages", Text, nullable=False),
    Column("segment", Text, nullable=False),  # JSON: the values of the segment facts that the set uses
    Column("pieces", Text, nullable=False),  # JSON list: fixed text around the slots
    Column("slots", Text, nullable=False),  # JSON list of slot names, one fewer than pieces
    Column("spoken", Text),  # JSON list of [language, words as said]
    Column("clip", Text),  # JSON of the clip: files, seconds, engine, loudness
    Column("size", Text, nullable=False),  # JSON
    Column("digest", Text, nullable=False),
    Column("approved", Text),  # JSON: the provider's template that says the same; see template sets
    Index("wording_campaign", "campaign_id"),
)

# One row per combination that counts are cut by; deliveries and counters carry its id instead of six columns each.
cut = Table(
    "cut",
    metadata,
    Column("id", Id, primary_key=True),
    Column("campaign_id", Id, ForeignKey("campaign.id"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("place", Text, nullable=False),  # county
    Column("unit_id", Id),
    Column("premises_category", Text, nullable=False),  # '' where there is none
    Column("languages", Text, nullable=False),
    Index("cut_campaign", "campaign_id"),
)

# No foreign keys here: four look-ups a row are a third of the plan's time, and the plan writes only ids it has just read.
delivery = Table(
    "delivery",
    metadata,
    Column("campaign_id", Integer, nullable=False),
    Column("n", Integer, nullable=False),
    Column("recipient_id", BigInteger, nullable=False),
    Column("channel", Text, nullable=False),
    Column("premises_id", BigInteger),
    Column("wording_id", BigInteger, nullable=False),
    Column("cut_id", BigInteger, nullable=False),
    Column("slots", Text),  # JSON list of the slot values, frozen at submit; NULL where the wording has none
    Column("parts", Integer, nullable=False),
    Column("token", Text, nullable=False),  # random; outside name = campaign-n-token
    Column("outcome", Text, nullable=False),
    Column("proof", Integer, nullable=False, server_default="0"),  # bits of model.PROOF_BITS
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column(
        "doubt", Integer, nullable=False, server_default="0"
    ),  # 1: an attempt may have arrived, and no answer has told
    Column("due_at", BigInteger, nullable=False, server_default="0"),
    Column("lease_id", BigInteger),  # of the attempt under way, or of the last one
    Column("provider", Text),
    Column("provider_ref", Text),
    Column("reason", Text),
    Column("changed_at", BigInteger),  # of the last attempt's answer or receipt
    Column("silent", Integer, nullable=False, server_default="0"),  # 1: accepted, and no receipt by the deadline
    PrimaryKeyConstraint("campaign_id", "n"),
    UniqueConstraint("campaign_id", "recipient_id", "channel", name="delivery_once"),
    one_of("outcome", Outcome),
    sqlite_with_rowid=False,
    # Room for the two versions that a claim and an outcome add to a row: no index is then written for them.
    postgresql_with={"fillfactor": 45},
)

# Outbox, poll index and sweep in one. due_at is NULL until the campaign is approved.
chunk = Table(
    "chunk",
    metadata,
    Column("id", Id, primary_key=True),
    Column("campaign_id", Id, ForeignKey("campaign.id"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("first", Integer, nullable=False),
    Column("last", Integer, nullable=False),
    Column("due_at", BigInteger),
    Column("expires_at", BigInteger, nullable=False),
    Column("published_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("digest", Text, nullable=False),
    Index("chunk_campaign", "campaign_id"),
    Index("chunk_open", "campaign_id", sqlite_where=text("finished_at IS NULL"),
          postgresql_where=text("finished_at IS NULL")),
    Index("chunk_due", "lane", "channel", "due_at", sqlite_where=text("finished_at IS NULL AND due_at IS NOT NULL"),
          postgresql_where=text("finished_at IS NULL AND due_at IS NOT NULL")),
)  # fmt: skip

# A window under way. Kept apart from delivery: an index over sending rows there would be written twice a delivery.
lease = Table(
    "lease",
    metadata,
    Column("id", Id, primary_key=True),
    Column("campaign_id", Integer, nullable=False),
    Column("chunk_id", BigInteger, nullable=False),
    Column("first", Integer, nullable=False),
    Column("last", Integer, nullable=False),
    Column("owner", Text, nullable=False),
    Column("until_at", BigInteger, nullable=False),
    Index("lease_until", "until_at"),
    Index("lease_campaign", "campaign_id"),
    sqlite_autoincrement=True,  # an id is never given twice: it guards the outcome of a window
)

# Attempts that did not simply succeed; appended, never changed.
attempt = Table(
    "attempt",
    metadata,
    Column("id", Id, primary_key=True),
    Column("campaign_id", Integer, nullable=False),
    Column("n", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("answer", Text, nullable=False),  # word of AnswerWord, or `in-doubt` for a lease that ran out
    Column("provider", Text),
    Column("reason", Text),
    Column("detail", Text),
    Index("attempt_delivery", "campaign_id", "n"),
    Index("attempt_at", "at"),
)

counter = Table(
    "counter",
    metadata,
    Column("campaign_id", Integer, nullable=False),
    Column("cut_id", BigInteger, nullable=False),
    Column("word", Text, nullable=False),  # an outcome or a proof
    Column("shard", Integer, nullable=False),
    Column("n", BigInteger, nullable=False),
    PrimaryKeyConstraint("campaign_id", "cut_id", "word", "shard"),
    # Which campaigns have anything in doubt, asked over all that ever were. `n` is not in it: counting does not write it.
    Index("counter_unknown", "campaign_id", sqlite_where=text("word = 'unknown'"),
          postgresql_where=text("word = 'unknown'")),
    sqlite_with_rowid=False,
)  # fmt: skip

device = Table(
    "device",
    metadata,
    Column("recipient_id", Id, ForeignKey("recipient.id"), primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column(
        "mode", Text, nullable=False, server_default="live"
    ),  # what it plays: nothing of an exercise reaches a live one
    Column("sequence", BigInteger, nullable=False, server_default="0"),  # only rises
    Column("changed", BigInteger, nullable=False, server_default="0"),  # feed_version at the last change
    Column("changed_at", BigInteger, nullable=False, server_default="0"),
    Column("seen_at", BigInteger),
    Column("detail", Text),
    Index("device_changed", "changed"),
)

# Row 1 rises with every change to any feed, so that a server learns what to drop from memory by one read. Row 2 is what of it
# the bus was told.
feed_version = Table(
    "feed_version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("n", BigInteger, nullable=False),
)

feed_item = Table(
    "feed_item",
    metadata,
    Column("recipient_id", BigInteger, nullable=False),
    Column("campaign_id", Integer, nullable=False),
    Column("n", Integer, nullable=False),
    Column("wording_id", BigInteger, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("not_before_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("recipient_id", "campaign_id"),
    Index("feed_item_campaign", "campaign_id"),
    Index("feed_item_expires", "expires_at"),
    sqlite_with_rowid=False,
)

bus_record = Table(
    "bus_record",
    metadata,
    Column("id", Id, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("value", LargeBinary),
    Column("headers", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("taken_by", Text),
    Column("taken_until", BigInteger, nullable=False, server_default="0"),
    Index("bus_record_topic", "topic", "id"),
    Index("bus_record_key", "topic", "key"),
    sqlite_autoincrement=True,
)

dead_letter = Table(
    "dead_letter",
    metadata,
    Column("id", Id, primary_key=True),
    Column("source", Text, nullable=False),  # topic/partition/offset
    Column("error", Text, nullable=False),
    Column("raw", LargeBinary),
    Column("at", BigInteger, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Id, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("detail", Text, nullable=False),  # JSON
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    # How often somebody has sent test messages lately.
    Index("audit_tests", "actor", "at", sqlite_where=text("action = 'gateway.test'"),
          postgresql_where=text("action = 'gateway.test'")),
)  # fmt: skip

idempotency = Table(
    "idempotency",
    metadata,
    Column("key", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("request_hash", Text, nullable=False),
    Column("status", Integer),
    Column("body", Text),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("actor", "key"),
)

# What listeners on the bus were last told of a campaign.
campaign_told = Table(
    "campaign_told",
    metadata,
    Column("campaign_id", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("digest", Text, nullable=False),  # of the counts
    Column("at", BigInteger, nullable=False),
)
