"""One running installation: its settings, its database, its keys. Handed to every function that needs the three."""

from dataclasses import dataclass
from typing import Any

from broadcaster.keys import Keys, make_key_file, read_key_file
from broadcaster.settings import Settings, load_settings
from broadcaster.store.engine import Store, open_store
from broadcaster.store.migrate import migrate, require_current


@dataclass(frozen=True)
class Installation:
    """Settings, store and keys that belong together."""

    settings: Settings
    store: Store
    keys: Keys

    def close(self) -> None:
        """Give the database connections back."""
        self.store.close()


def initialise(**given: Any) -> Installation:
    """Makes the home folder, the key file and the database where they are missing; brings an old schema up. Idempotent."""
    settings = load_settings(**given)
    settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = read_key_file(settings.key_file) if settings.key_file.exists() else make_key_file(settings.key_file)
    store = open_store(settings.store_url)
    migrate(store)
    return Installation(settings, store, keys)


def open_installation(**given: Any) -> Installation:
    """An existing installation. Raises BadInput where it was never initialised, Unavailable where the schema is old."""
    settings = load_settings(**given)
    keys = read_key_file(settings.key_file)
    store = open_store(settings.store_url)
    require_current(store)
    return Installation(settings, store, keys)
