"""PostgreSQL behind TLS and a password, by its address alone; who brings the wrong thing is told."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from postgresql_server import USER, NoServer, Server
from secure import Authority, authority
from sqlalchemy import text

from broadcaster.cli import doctor
from broadcaster.cli.failures import exit_code
from broadcaster.installation import Installation, initialise
from broadcaster.model import Unavailable
from broadcaster.settings import load_settings
from broadcaster.store.engine import open_store
from broadcaster.web.app import create_app

pytestmark = pytest.mark.database("sqlite")  # the one of the keys
PASSWORD = "right-one"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("certificates") / "ours")


@pytest.fixture(scope="module")
def address(certificates: Authority) -> Iterator[str]:
    """The address without what is said about TLS."""
    try:
        server = Server(certificates, PASSWORD)
    except NoServer as error:
        pytest.skip(str(error))
    server.execute(f"CREATE DATABASE guarded OWNER {USER}")
    yield f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{server.port}/guarded"
    server.stop()


def test_an_installation_is_made_and_read_over_tls(address: str, certificates: Authority, tmp_path: Path) -> None:
    inst = initialise(home=tmp_path, database_url=f"{address}?sslmode=verify-full&sslrootcert={certificates.ca}")
    with inst.store.read() as conn:
        assert conn.execute(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")).scalar() is True
        assert conn.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1
    inst.close()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("right-one@", "wrong-one@"), "password authentication failed"),
        (("ours/ca.pem", "stranger/ca.pem"), "certificate verify failed"),
        (("verify-full", "disable"), "pg_hba.conf rejects connection"),
        (("127.0.0.1", "localhost"), 'does not match host name "localhost"'),
    ],
    ids=["password", "authority", "no encryption", "name"],
)
def test_who_brings_the_wrong_thing_is_told(
    address: str, certificates: Authority, inst: Installation, wrong: tuple[str, str], told: str
) -> None:
    authority(certificates.folder.parent / "stranger")
    url = f"{address}?sslmode=verify-full&sslrootcert={certificates.ca}".replace(*wrong)
    settings = load_settings(home=inst.settings.folder, database_url=url)
    began = time.monotonic()
    with TestClient(create_app(Installation(settings, open_store(url), inst.keys))) as web:
        ready = web.get("/readyz")
    assert ready.status_code == 503
    assert told in ready.json()["failing"]["database"]
    [check] = doctor.checked(settings, only=["database"])
    assert told in check["detail"]
    assert "BROADCASTER_DATABASE_URL" in check["fix"]
    with pytest.raises(Unavailable, match=told) as caught:
        initialise(home=inst.settings.folder, database_url=url)
    assert exit_code(caught.value) == 5
    assert time.monotonic() - began < 15
    assert "right-one" not in f"{ready.text} {check} {caught.value}"
