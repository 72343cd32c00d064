"""A real Kannel for the tests: bearerbox, smsbox and an SMS centre on loopback, in a folder of their own, gone afterwards.

The SMS centre is Kannel's own fakesmsc, which delivers everything, or a small one on npm's smpp (smsc.js), which also fails.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from arrived import Seen, from_fakesmsc, from_smsc, joined

ROOT = Path(__file__).resolve().parents[2]
FAKE_SMSC = Path("/usr/lib/kannel/test/fakesmsc")
MODULES = ROOT / ".cache" / "smpp" / "node_modules"
PATIENCE = 30.0  # a smsbox that lost its bearerbox is away for about 11 s
NOBODY = 65534

CORE = """
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = change-admin
status-password = change-status
admin-allow-ip = "127.0.0.1"
admin-deny-ip = "*.*.*.*"
smsbox-port = {boxes}
smsbox-interface = 127.0.0.1
box-allow-ip = "127.0.0.1"
box-deny-ip = "*.*.*.*"
log-file = "{run}/bearerbox.log"
log-level = 1
access-log = "{run}/bearerbox-access.log"
dlr-storage = internal
store-type = spool
store-location = "{run}/store"
sms-resend-freq = 1
sms-resend-retry = 1

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {boxes}
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1
log-file = "{run}/smsbox.log"
log-level = 1
access-log = "{run}/smsbox-access.log"
http-request-retry = 20
http-queue-delay = 1

group = sendsms-user
username = alert
password = change-me
max-messages = 10
concatenation = true
user-allow-ip = "127.0.0.1"

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "{replies}"
"""
FAKE = """
group = smsc
smsc = fake
smsc-id = FAKE
host = 127.0.0.1
our-host = 127.0.0.1
port = {centre}
connect-allow-ip = 127.0.0.1
denied-prefix = "134;+134;+86134"
"""
SMPP = """
group = smsc
smsc = smpp
smsc-id = SIM
host = 127.0.0.1
port = {centre}
transceiver-mode = true
smsc-username = u
smsc-password = p
system-type = ""
throughput = 200
reconnect-delay = 1
"""
# What an operator writes into his file, but for the address (docs/kannel.md).
REPLY_QUERY = "from=%p&to=%P&text=%b&charset=%C&coding=%c&id=%I&at=%T"


def missing(*, smpp: bool = False) -> str:
    """What is not installed, as a sentence; empty where nothing is missing."""
    if not (shutil.which("bearerbox") and shutil.which("smsbox") and FAKE_SMSC.exists()):
        return "Kannel is not installed; as root: apt-get install kannel kannel-extras (it must not be started)"
    if smpp and not (shutil.which("node") and (MODULES / "smpp").is_dir()):
        return "node or npm's smpp is missing; scripts/test installs it into .cache/smpp"
    return ""


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def wait_until(true, what: str, seconds: float = PATIENCE) -> None:
    """Waits until `true()` is; raises TimeoutError with `what` where it never is."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Catcher:
    """Our side of the callbacks: keeps what Kannel asks, as path and query. `status` is what it answers."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status, self.body = 200, b""
        catcher = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                catcher.asked.append(self.path)
                self.send_response(catcher.status)
                self.send_header("Content-Length", str(len(catcher.body)))
                self.end_headers()
                self.wfile.write(catcher.body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def of(self, path: str) -> list[str]:
        """What came in under a path."""
        return [asked for asked in self.asked if asked.partition("?")[0] == path]

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()


class Kannel:
    """The boxes. `url` takes messages; `catcher` has receipts (whatever address a message names) and replies (/mo)."""

    def __init__(self, *, smpp: bool = False, replies: str = "") -> None:
        self.smpp = smpp
        self.catcher = Catcher()
        self.folder = Path(tempfile.mkdtemp(prefix="broadcaster-kannel-"))
        (self.folder / "store").mkdir()
        self.admin, self._boxes, self.sendsms, self._centre = free_ports(4)
        places = {"run": self.folder, "admin": self.admin, "boxes": self._boxes, "sendsms": self.sendsms,
                  "centre": self._centre, "replies": replies or f"{self.catcher.url}/mo?{REPLY_QUERY}"}  # fmt: skip
        self._file = self.folder / "kannel.conf"
        self._file.write_text((CORE + (SMPP if smpp else FAKE)).format(**places))
        if os.getuid() == 0:  # the boxes need no rights, so they get none
            for path in (self.folder, self.folder / "store", self._file):
                os.chown(path, NOBODY, NOBODY)
        self._groups: dict[str, int] = {}  # process group of each box
        self._children: list[subprocess.Popen[bytes]] = []
        self._centres = 0

    @property
    def url(self) -> str:
        """Where messages are taken."""
        return f"http://127.0.0.1:{self.sendsms}/cgi-bin/sendsms"

    @property
    def status_url(self) -> str:
        """Where bearerbox tells how it stands."""
        return f"http://127.0.0.1:{self.admin}/status.xml?password=change-status"

    def start(self) -> "Kannel":
        """Starts all and waits until a message would go through."""
        if self.smpp:
            self.start_centre()
        self.start_bearerbox()
        self.start_smsbox()
        if not self.smpp:
            self.start_centre()
        self.wait_online()
        return self

    def start_bearerbox(self) -> None:
        """Also after kill_bearerbox."""
        self._run("bearerbox", "bearerbox", "-v", "4", str(self._file))
        wait_until(lambda: listens(self._boxes), "bearerbox")

    def start_smsbox(self) -> None:
        """Also after kill_smsbox."""
        self._run("smsbox", "smsbox", "-v", "4", str(self._file))
        wait_until(lambda: listens(self.sendsms), "smsbox")

    def start_centre(self, message: str = "") -> None:
        """The SMS centre; fakesmsc sends `message` ("13900000001 12379 text TD") once, as a phone would."""
        self._centres += 1
        self._log = self.folder / f"centre-{self._centres}.out"
        if self.smpp:
            script = Path(__file__).with_name("smsc.js")
            self._run("centre", "node", str(script), str(self._centre), environment={"NODE_PATH": str(MODULES)})
            wait_until(lambda: listens(self._centre), "SMS centre")
            return
        words = ["-H", "127.0.0.1", "-r", str(self._centre), "-i", "0.01", "-m", "1" if message else "0", "-v", "0"]
        self._run("centre", str(FAKE_SMSC), *words, message or "1 2 text nop")

    def wait_online(self) -> None:
        """Until bearerbox says that its SMS centre is connected, and a smsbox."""
        wait_until(lambda: "(online" in self.status() and "smsbox:" in self.status(), "SMS centre online")

    def wait_offline(self) -> None:
        """Until bearerbox has noticed that its SMS centre is gone."""
        wait_until(lambda: "(online" not in self.status(), "SMS centre offline")

    def status(self) -> str:
        """bearerbox's own words."""
        try:
            with urllib.request.urlopen(self.status_url.replace(".xml", ".txt"), timeout=5) as told:
                return told.read().decode()
        except OSError:
            return ""

    def kill_bearerbox(self) -> None:
        """SIGKILL. fakesmsc ends with it, smsbox starts itself anew after about 11 s."""
        self._end("bearerbox", signal.SIGKILL)
        if not self.smpp:
            self._end("centre", signal.SIGTERM)

    def await_smsbox(self) -> None:
        """Until smsbox is back after its bearerbox died. As a rule it starts itself anew; seen too: it panics and is gone."""
        wait_until(lambda: listens(self.sendsms) or not self._lives(self._groups["smsbox"]), "smsbox by itself")
        if not listens(self.sendsms):
            self.start_smsbox()

    def kill_smsbox(self) -> None:
        """SIGKILL."""
        self._end("smsbox", signal.SIGKILL)

    def stop_centre(self) -> None:
        """The SMS centre goes away; what it has seen is kept."""
        self._end("centre", signal.SIGTERM)

    def reply_from_phone(self, sender: str, text: str) -> None:
        """A phone writes. fakesmsc must be started anew for it: a second one would wait for the first to go."""
        if self.smpp:
            child = next(c for c in self._children if c.pid == self._groups["centre"])
            assert child.stdin
            child.stdin.write(json.dumps({"from": sender, "to": "12379", "text": text}).encode() + b"\n")
            child.stdin.flush()
            return
        message = f"{sender} 12379 text {text}"
        self.stop_centre()
        self.wait_offline()
        self.start_centre(message)
        self.wait_online()

    def stop(self) -> None:
        """Ends all in reverse order and removes the folder; a box that started itself anew is found by its file."""
        for name in ("centre", "smsbox", "bearerbox"):
            self._end(name, signal.SIGTERM)
        for pid in self.running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for child in self._children:
            child.wait(timeout=PATIENCE)
        self.catcher.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def running(self) -> list[int]:
        """Processes that live in the folder: none after stop, not even a box that started itself anew under another number."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "cwd").readlink() == self.folder:
                    found.append(int(process.name))
            except OSError:
                continue
        return found

    def _run(self, name: str, *words: str, environment: dict[str, str] | None = None) -> None:
        guard = []
        if os.getuid() == 0 and words[0] != "node":  # smsc.js is our own, and may lie where nobody else may read
            guard = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        log = self._log if name == "centre" else self.folder / f"{name}.out"
        with log.open("ab") as out:
            child = subprocess.Popen(
                [*guard, *words], cwd=self.folder, stdin=subprocess.PIPE, stdout=out, stderr=out,
                start_new_session=True, env={**os.environ, **(environment or {})},
            )  # fmt: skip
        self._groups[name] = child.pid
        self._children.append(child)

    def _end(self, name: str, how: signal.Signals) -> None:
        group = self._groups.pop(name, None)
        if group is None:
            return
        for sign in (how, signal.SIGKILL):  # a smsbox that waits for its bearerbox does not hear SIGTERM for seconds
            if not _signalled(group, sign):
                return
            try:
                wait_until(lambda: not self._lives(group), name, 3)
                return
            except TimeoutError:
                continue

    def _lives(self, group: int) -> bool:
        for child in self._children:
            child.poll()
        return _signalled(group, 0)

    def seen(self) -> list[Seen]:
        """Every message that arrived at the SMS centre since the start."""
        logs = sorted(self.folder.glob("centre-*.out"), key=lambda p: int(p.stem.partition("-")[2]))
        said = b"".join(log.read_bytes() for log in logs)
        return joined(from_smsc(said) if self.smpp else from_fakesmsc(said))

    def wait_for(self, count: int) -> list[Seen]:
        """What has arrived, once it is `count` messages."""
        wait_until(lambda: len(self.seen()) >= count, f"{count} messages at the SMS centre")
        return self.seen()


def _signalled(group: int, sign: int) -> bool:
    """Sends a signal to a process group; False where nobody is left in it."""
    try:
        os.killpg(group, sign)
    except ProcessLookupError:
        return False
    return True
