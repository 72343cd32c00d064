"""How the whole installation stands: what a probe and a scrape ask for. No campaign and no place in it."""

from sqlalchemy import Connection

from broadcaster.store.driver import run


def alive(conn: Connection) -> bool:
    """The database answers."""
    return run(conn, "SELECT 1").scalar() == 1


def campaigns(conn: Connection) -> dict[str, int]:
    """How many campaigns stand in each state."""
    return {str(state): int(n) for state, n in run(conn, "SELECT state, count(*) FROM campaign GROUP BY state")}


def deliveries(conn: Connection) -> dict[tuple[str, str], int]:
    """(channel, outcome or proof) -> deliveries, from the counters."""
    rows = run(
        conn,
        "SELECT cut.channel, counter.word, sum(counter.n) FROM counter JOIN cut ON cut.id = counter.cut_id "
        "GROUP BY cut.channel, counter.word",
    )
    return {(str(channel), str(word)): int(n) for channel, word, n in rows}


def pending_chunks(conn: Connection, now: int) -> tuple[int, int | None]:
    """Chunks that are due and not finished, and since when the oldest is due (ms)."""
    row = run(
        conn,
        "SELECT count(*), min(due_at) FROM chunk WHERE finished_at IS NULL AND due_at IS NOT NULL AND due_at <= ?",
        now,
    ).one()
    return int(row[0]), None if row[1] is None else int(row[1])


def windows(conn: Connection, now: int) -> tuple[int, int]:
    """Windows under way, and those in doubt: their lease ran out and nobody has judged them yet."""
    row = run(conn, "SELECT count(*), coalesce(sum(CASE WHEN until_at < ? THEN 1 ELSE 0 END), 0) FROM lease", now).one()
    return int(row[0]) - int(row[1]), int(row[1])
