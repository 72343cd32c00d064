"""What was counted, read back: counters joined with their cuts, and the rows they must equal."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, text

from broadcaster.model import PROOF_BITS, Outcome, Proof
from broadcaster.store.campaigns import can_be

REACHED = (Outcome.ACCEPTED, Outcome.DELIVERED)
DEVICES = ("loudspeaker", "billboard")
PAGE = 500

_REACHED = ", ".join(f"'{word}'" for word in REACHED)
_SEEN_OR_HEARD = PROOF_BITS[Proof.PLAYED] | PROOF_BITS[Proof.SHOWN] | PROOF_BITS[Proof.CONFIRMED]

# key and name of each cut; the joins only look up names, one row each
_CUTS = {
    "channel": ("c.channel", "c.channel", ""),
    "place": ("c.place", "coalesce(p.name, c.place)", "LEFT JOIN place p ON p.code = c.place"),
    "unit": ("coalesce(u.code, '')", "coalesce(u.name, '')", "LEFT JOIN unit u ON u.id = c.unit_id"),
    "category": ("c.premises_category", "c.premises_category", ""),
    "language": ("c.languages", "c.languages", ""),
}
CUTS = tuple(_CUTS)


def planned(conn: Connection, campaign_id: int) -> tuple[int] | None:
    """What the plan wrote, 0 before submit; None where there is no such campaign."""
    if not can_be(campaign_id):
        return None
    row = conn.execute(text("SELECT planned FROM campaign WHERE id = :c"), {"c": campaign_id}).first()
    return (row[0] or 0,) if row else None


def is_exercise(conn: Connection, campaign_id: int) -> bool:
    """Whether a campaign is not meant for the public."""
    row = conn.execute(text("SELECT mode FROM campaign WHERE id = :c"), {"c": campaign_id}).first()
    return row is not None and row[0] == "exercise"


def announced(conn: Connection, campaign_id: int) -> tuple[int, int, int]:
    """(chunks, of them published, when the last one was, ms or 0)."""
    statement = text(
        "SELECT count(*), count(published_at), coalesce(max(published_at), 0) FROM chunk WHERE campaign_id = :c"
    )
    row = conn.execute(statement, {"c": campaign_id}).one()
    return int(row[0]), int(row[1]), int(row[2])


def by_word(conn: Connection, campaign_id: int) -> dict[str, int]:
    """Counters of a campaign over all its cuts: word -> n."""
    found = conn.execute(
        text("SELECT word, sum(n) FROM counter WHERE campaign_id = :c GROUP BY word"), {"c": campaign_id}
    )
    return {word: int(n) for word, n in found}


def by_cut(conn: Connection, campaign_id: int, cut: str) -> Sequence[Any]:
    """Counters of a campaign by one of CUTS: rows of key, name, word, n, in order of key."""
    key, name, join = _CUTS[cut]
    statement = f"""
        SELECT {key} AS key, {name} AS name, k.word AS word, sum(k.n) AS n
        FROM counter k JOIN cut c ON c.id = k.cut_id {join}
        WHERE k.campaign_id = :c GROUP BY 1, 2, k.word ORDER BY 1"""
    return conn.execute(text(statement), {"c": campaign_id}).all()


def accepted_sms(conn: Connection, campaign_id: int, cut: str) -> dict[str, int]:
    """Key of one of CUTS -> its SMS that are accepted, and no more is known of them."""
    key, _, join = _CUTS[cut]
    statement = f"""
        SELECT {key} AS key, sum(k.n) AS n FROM counter k JOIN cut c ON c.id = k.cut_id {join}
        WHERE k.campaign_id = :c AND k.word = 'accepted' AND c.channel = 'sms' GROUP BY 1"""
    return {str(row.key): int(row.n) for row in conn.execute(text(statement), {"c": campaign_id})}


def counters_and_rows(conn: Connection, campaign_id: int) -> Sequence[Any]:
    """Rows of source ('counter' | 'rows'), cut_id, word, proof, silent, n.

    One statement, so that both halves are of one moment on PostgreSQL too. `rows` carry the outcome as word and the proof
    bits and the mark beside it; `counter` rows carry 0 for both.
    """
    statement = """
        SELECT 'counter' AS source, cut_id, word, 0 AS proof, 0 AS silent, sum(n) AS n
        FROM counter WHERE campaign_id = :c GROUP BY cut_id, word
        UNION ALL
        SELECT 'rows', cut_id, outcome, proof, silent, count(*)
        FROM delivery WHERE campaign_id = :c GROUP BY cut_id, outcome, proof, silent"""
    return conn.execute(text(statement), {"c": campaign_id}).all()


def premises(conn: Connection, campaign_id: int) -> tuple[int, int]:
    """Distinct premises: planned, and reached by at least one delivery. Reads every delivery of the campaign once."""
    statement = f"""
        SELECT count(*), coalesce(sum(reached), 0) FROM (
            SELECT max(CASE WHEN outcome IN ({_REACHED}) THEN 1 ELSE 0 END) AS reached
            FROM delivery WHERE campaign_id = :c AND premises_id IS NOT NULL GROUP BY premises_id) t"""
    row = conn.execute(text(statement), {"c": campaign_id}).one()
    return int(row[0]), int(row[1])


def estimates(conn: Connection, campaign_id: int) -> Sequence[Any]:
    """People behind devices: rows of channel, source, devices, people, reached, proved; source NULL = not estimated.

    Chunks hold contiguous n of one channel, so only the devices' part of the plan is read.
    """
    ranges = text(
        "SELECT channel, min(first), max(last) FROM chunk WHERE campaign_id = :c GROUP BY channel ORDER BY channel"
    )
    statement = text(f"""
        SELECT d.channel AS channel, r.people_source AS source, count(*) AS devices,
               coalesce(sum(r.people), 0) AS people,
               coalesce(sum(CASE WHEN d.outcome IN ({_REACHED}) THEN r.people END), 0) AS reached,
               coalesce(sum(CASE WHEN (d.proof & {_SEEN_OR_HEARD}) <> 0 THEN r.people END), 0) AS proved
        FROM delivery d JOIN recipient r ON r.id = d.recipient_id
        WHERE d.campaign_id = :c AND d.n BETWEEN :first AND :last AND d.channel = :channel
        GROUP BY d.channel, r.people_source ORDER BY r.people_source""")
    found: list[Any] = []
    for channel, first, last in conn.execute(ranges, {"c": campaign_id}).all():
        if channel in DEVICES:
            values = {"c": campaign_id, "first": first, "last": last, "channel": channel}
            found += conn.execute(statement, values).all()
    return found


_UNREACHED = text(f"""
    SELECT d.n AS n, d.channel AS channel, d.outcome AS outcome, coalesce(d.reason, '') AS reason,
           coalesce(r.name, '') AS name, r.address_sealed AS address_sealed, coalesce(p.name, '') AS premises,
           coalesce(p.category, '') AS category, r.place AS place, coalesce(pl.name, '') AS place_name,
           coalesce(u.name, '') AS unit
    FROM delivery d JOIN recipient r ON r.id = d.recipient_id
    LEFT JOIN premises p ON p.id = d.premises_id LEFT JOIN place pl ON pl.code = r.place
    LEFT JOIN cut c ON c.id = d.cut_id LEFT JOIN unit u ON u.id = c.unit_id
    WHERE d.campaign_id = :c AND d.n > :after AND d.outcome NOT IN ({_REACHED})
    ORDER BY d.n LIMIT :most""")


def unreached_page(conn: Connection, campaign_id: int, after: int, most: int = PAGE) -> Sequence[Any]:
    """Deliveries beyond n = `after` whose recipient was not reached, so many at most, in order of n."""
    return conn.execute(_UNREACHED, {"c": campaign_id, "after": after, "most": most}).all()


def reasons(conn: Connection, campaign_id: int, most: int) -> Sequence[Any]:
    """Rows of outcome, reason, n where a reason was told, the most frequent first. Reads every delivery of the campaign once."""
    statement = """
        SELECT outcome, reason, count(*) AS n FROM delivery
        WHERE campaign_id = :c AND reason IS NOT NULL AND reason <> ''
        GROUP BY outcome, reason ORDER BY count(*) DESC, outcome, reason LIMIT :most"""
    return conn.execute(text(statement), {"c": campaign_id, "most": most}).all()


def unreached_premises(conn: Connection, campaign_id: int) -> Iterator[Any]:
    """Premises none of whose deliveries was reached: rows of name, category, place, place_name, deliveries."""
    statement = f"""
        SELECT p.name AS name, p.category AS category, p.place AS place, coalesce(pl.name, '') AS place_name,
               t.deliveries AS deliveries
        FROM (SELECT premises_id, count(*) AS deliveries FROM delivery
              WHERE campaign_id = :c AND premises_id IS NOT NULL GROUP BY premises_id
              HAVING max(CASE WHEN outcome IN ({_REACHED}) THEN 1 ELSE 0 END) = 0) t
        JOIN premises p ON p.id = t.premises_id LEFT JOIN place pl ON pl.code = p.place
        ORDER BY p.place, p.name"""
    yield from conn.execute(text(statement), {"c": campaign_id})
