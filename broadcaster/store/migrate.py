"""Schema history: one for both databases, inside the package, run by `broadcaster init`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from broadcaster.model import Unavailable
from broadcaster.store.engine import Store


def _config(store: Store) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["engine"] = store.engine
    return config


def migrate(store: Store) -> None:
    """Brings the schema to the newest version. Idempotent."""
    if current(store) != head(store):
        command.upgrade(_config(store), "head")


def head(store: Store) -> str:
    """The newest version that this program knows."""
    return ScriptDirectory.from_config(_config(store)).get_current_head() or ""


def current(store: Store) -> str:
    """The version of the schema in the database; empty for an empty database."""
    with store.read() as connection:
        return MigrationContext.configure(connection).get_current_revision() or ""


def require_current(store: Store) -> None:
    """Raises Unavailable where the schema is not the newest, with the command to type."""
    found, wanted = current(store), head(store)
    if found != wanted:
        raise Unavailable("schema", f"the database schema is {found or 'empty'}, not {wanted}; type: broadcaster init")
