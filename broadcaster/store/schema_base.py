"""The common ground of the tables: their registry, the type of an id, and columns that hold one of some words."""

from sqlalchemy import BigInteger, CheckConstraint, Integer, MetaData

metadata = MetaData()

# INTEGER PRIMARY KEY on SQLite is the row id itself; BIGINT would make a second index.
Id = BigInteger().with_variant(Integer, "sqlite")


def one_of(column: str, words: type) -> CheckConstraint:
    """The column holds a word of this enum."""
    listed = ", ".join(f"'{w}'" for w in words)  # type: ignore[attr-defined]
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_word")
