"""What the HTTP client writes, and how it finds, reaches and trusts a server."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import AF_INET, SOCK_STREAM
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from http1_server import OK, Run, Server, always, asked_twice
from yarl import URL

import channels.http1
from channels.http1 import Client, NotSent, Refused, TlsFault, head
from channels.replies import Reply


def test_a_request_is_what_servers_expect(run: Run) -> None:
    async def go() -> list[bytes]:
        async with always(OK) as server:
            await server.post("/a%20b/?x=1&y=%E6%9E%97#gone", b"{}")
            url = URL(f"http://us%40er:p%3Aw@localhost:{server.port}/")
            await server.client.ask(head("POST", url, {"content-type": "text/plain"}), b"", 100)
            await server.client.ask(head("GET", url.with_user(None), {}, body=False), b"", 100)
            return [request.replace(b":%d" % server.port, b":1") for request in server.asked]

    ours = b"Accept: */*\r\nAccept-Encoding: identity\r\nUser-Agent: public-alert-broadcaster\r\n"
    first = b"POST /a%20b/?x=1&y=%E6%9E%97 HTTP/1.1\r\nHost: 127.0.0.1:1\r\n" + ours
    second = b"POST / HTTP/1.1\r\nHost: localhost:1\r\n" + ours + b"Authorization: Basic dXNAZXI6cDp3\r\n"
    assert run(go) == [
        first + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        second + b"content-type: text/plain\r\nContent-Length: 0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost:1\r\n" + ours + b"\r\n",
    ]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://a.example/", b"a.example"),
        ("http://a.example:80/", b"a.example"),
        ("https://a.example:443/", b"a.example"),
        ("https://a.example:80/", b"a.example:80"),
        ("http://a.example.:81/", b"a.example:81"),
        ("http://[::1]/", b"[::1]"),
        ("http://[::1]:81/", b"[::1]:81"),
        ("http://消防.example/", b"xn--r1wm18f.example"),
    ],
)
def test_the_host_is_named_as_http_wants(url: str, host: bytes) -> None:
    assert b"\r\nHost: " + host + b"\r\n" in head("POST", URL(url), {}).text


@pytest.mark.parametrize("text", ["a\r\nB: c", "a\nb", "a\rb", "a\0b", "\x7f", "\ud800"])
def test_a_header_cannot_begin_another(text: str) -> None:
    with pytest.raises(Refused):
        head("POST", URL("http://a/"), {"X": text})


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é", "Host", "content-length", "Transfer-Encoding"])
def test_a_name_that_is_none_or_the_client_s_own_is_refused(name: str) -> None:
    with pytest.raises(Refused):
        head("POST", URL("http://a/"), {name: "1"})


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX: y", "/\x00", "/é", "/?a= b"])
def test_an_address_cannot_end_its_line(path: str) -> None:
    with pytest.raises(Refused):
        head("GET", URL(f"http://a{path}", encoded=True), {}, body=False)


@pytest.mark.parametrize("method", ["HEAD", "CONNECT", "", "GET /", "GET\r\n"])
def test_a_method_whose_replies_are_others_is_refused(method: str) -> None:
    with pytest.raises(Refused):
        head(method, URL("http://a/"), {})


def test_names_are_looked_up_once_and_faults_not_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def looks(host: str, port: int) -> list[Any]:
        asked.append(host)
        await asyncio.sleep(0.01)
        if len(asked) == 1:
            raise OSError("unknown")
        return [(AF_INET, SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(channels.http1, "look_up", looks)

    async def go() -> None:
        async with always(OK) as server:
            asking = head("POST", URL(f"http://gateway.example:{server.port}/"), {})
            tries = [server.client.ask(asking, b"", 100) for _ in range(5)]
            for told in await asyncio.gather(*tries, return_exceptions=True):
                assert isinstance(told, NotSent)
                assert told.reason == "not-connected"
            await asyncio.gather(*[server.client.ask(asking, b"", 100) for _ in range(5)])

    run(go)
    assert asked == ["gateway.example"] * 2


def test_who_gives_up_does_not_end_the_look_up_of_others(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def looks(_host: str, port: int) -> list[Any]:
        await asyncio.sleep(0.05)
        return [(AF_INET, SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(channels.http1, "look_up", looks)

    async def go() -> Reply:
        async with always(OK) as server:
            asked = head("POST", URL(f"http://gateway.example:{server.port}/"), {})
            first, second = (asyncio.ensure_future(server.client.ask(asked, b"", 100)) for _ in range(2))
            await asyncio.sleep(0.01)
            first.cancel()
            return await second

    assert run(go) == Reply(200, b"ok")


def test_a_dead_address_does_not_stop_the_next(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def looks(_host: str, port: int) -> list[Any]:
        return [(AF_INET, SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(channels.http1, "look_up", looks)

    async def go() -> Reply:
        async with always(OK) as server:
            return await server.client.ask(head("POST", URL(f"http://x.example:{server.port}/"), {}), b"", 100)

    assert run(go) == Reply(200, b"ok")


def test_a_handshake_that_hangs_was_not_sent(run: Run) -> None:
    async def serve(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    async def go() -> str:
        async with Server(serve) as server:
            server.client = Client(0.2, 4.0)
            with pytest.raises(NotSent) as told:
                await server.client.ask(head("POST", URL(f"https://127.0.0.1:{server.port}/"), {}), b"", 100)
            return told.value.reason

    assert run(go) == "connect-timeout"


def test_a_server_without_tls_is_a_fault_of_the_settings(run: Run) -> None:
    async def serve(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad\r\n\r\n")

    async def go() -> None:
        async with Server(serve) as server:
            with pytest.raises(TlsFault):
                await server.client.ask(head("POST", URL(f"https://127.0.0.1:{server.port}/"), {}), b"", 100)

    run(go)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of localhost, signed by itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    draft = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    draft = draft.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    draft = draft.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    pem = draft.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(pem + key.private_bytes(*form))
    return path


def test_tls_is_kept_too_and_the_name_is_verified(run: Run, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # whom the client trusts
    context, named = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: named.append(name)
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(OK)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def go() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as listening:
            port, client = listening.sockets[0].getsockname()[1], Client(2.0, 4.0)
            asked = head("GET", URL(f"https://localhost:{port}/"), {}, body=False)
            for _ in range(10):
                assert await client.ask(asked, b"", 100) == Reply(200, b"ok")
                await asyncio.sleep(0.005)
            with pytest.raises(TlsFault):  # the certificate names localhost, not this address
                await client.ask(head("GET", URL(f"https://127.0.0.1:{port}/"), {}, body=False), b"", 100)
            client.close()
            await asyncio.sleep(0.02)

    run(go)
    assert named[0] == "localhost"
    assert len(connections) == 1


def test_proxies_of_the_environment_are_not_used(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    assert asked_twice(run, OK)[0] == [Reply(200, b"ok")] * 2
