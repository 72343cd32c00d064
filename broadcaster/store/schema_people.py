"""The tables of places, units, users, premises, recipients and audiences: who can be told, and by whom."""

from sqlalchemy import (
    BigInteger,
    Boolean,
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

from broadcaster.store.schema_base import Id, metadata

place = Table(
    "place",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("level", Integer, nullable=False),  # 1 province, 2 prefecture, 3 county, 4 township, 5 village
    Column("parent", Text),
    Column("population", Integer),  # estimate of people; NULL = not known
    Column("population_source", Text),
    Index("place_parent", "parent"),
    sqlite_with_rowid=False,
)

unit = Table(
    "unit",
    metadata,
    Column("id", Id, primary_key=True),
    Column("code", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("parent_id", Id, ForeignKey("unit.id")),
)

# A unit is a set of places, not a prefix: one brigade's area lies under two county codes. The longest code wins.
unit_place = Table(
    "unit_place",
    metadata,
    Column("place", Text, nullable=False),  # code or its meaningful prefix
    Column("unit_id", Id, ForeignKey("unit.id"), nullable=False),
    PrimaryKeyConstraint("place", "unit_id"),
    sqlite_with_rowid=False,
)

user = Table(
    "app_user",
    metadata,
    Column("id", Id, primary_key=True),
    Column("login", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("unit_id", Id, ForeignKey("unit.id")),
    Column("roles", Text, nullable=False),  # words of Role, blank separated
    Column("active", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", BigInteger, nullable=False),
)

sign_in_link = Table(
    "sign_in_link",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("user_id", Id, ForeignKey("app_user.id"), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)

web_session = Table(
    "web_session",
    metadata,
    Column("id_hash", LargeBinary, primary_key=True),
    Column("user_id", Id, ForeignKey("app_user.id"), nullable=False),
    Column("csrf", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

api_token = Table(
    "api_token",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("user_id", Id, ForeignKey("app_user.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
)

premises = Table(
    "premises",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("place", Text, nullable=False),
    UniqueConstraint("name", "place", name="premises_once"),
    Index("premises_place", "place"),
)

recipient = Table(
    "recipient",
    metadata,
    Column("id", Id, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("address_sealed", LargeBinary, nullable=False),  # AES-GCM over the address with scheme
    Column("address_key", LargeBinary, nullable=False),  # keyed hash of the address, for look-up only
    Column("name", Text),
    Column("place", Text, nullable=False),
    Column("premises_id", Id, ForeignKey("premises.id")),
    Column("languages", Text, nullable=False),  # "zh-CN" or "zh-CN+ko"
    Column("format", Text, nullable=False, server_default=""),
    Column("people", Integer),  # estimate of people behind a speaker or board; NULL = not known
    Column("people_source", Text),
    Column("consent_at", BigInteger),  # when the person agreed to be written to, as the imported file says
    Column("active", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("channel", "address_key", name="recipient_once"),
    Index("recipient_place", "place"),
    Index("recipient_premises", "premises_id"),
)

recipient_group = Table(
    "recipient_group",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
)

group_member = Table(
    "group_member",
    metadata,
    Column("group_id", Id, ForeignKey("recipient_group.id"), nullable=False),
    Column("recipient_id", Id, ForeignKey("recipient.id"), nullable=False),
    PrimaryKeyConstraint("group_id", "recipient_id"),
    Index("group_member_recipient", "recipient_id"),
    sqlite_with_rowid=False,
)

audience = Table(
    "audience",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("selection", Text, nullable=False),
    Column("created_by", Id, ForeignKey("app_user.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

# class: promotion | notice | never. An opt-out from promotions does not silence an emergency; `never` silences all.
suppression = Table(
    "suppression",
    metadata,
    Column("address_key", LargeBinary, nullable=False),
    Column("class", Text, nullable=False),
    Column("since_at", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
    PrimaryKeyConstraint("address_key", "class"),
    Index("suppression_class", "class", "since_at"),  # how many of a class, and the newest
    sqlite_with_rowid=False,
)
