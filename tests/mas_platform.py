"""A stand-in for China Mobile's MAS platform, of the tests' own: no real one can be had, and it proves only what it checks.

It reads requests by the published description and shares no line with the adapter: base64, JSON, the exact set of fields, the
check sum composed anew. What it accepted it keeps as a phone would show it, with its own signature in front.
"""

import base64
import binascii
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FIELDS = {"ecName", "apId", "mobiles", "content", "sign", "addSerial", "mac"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512  # with the usual 5, a burst of connections waits for its SYNs to be sent again


@dataclass
class Platform:
    """`played` replaces the reply of a whole request: (status, body). `shown` are (number, text on the phone, msgGroup)."""

    company: str = "吉林省消防救援总队"
    account: str = "jlxf119"
    secret: str = "S3cret密-key"
    signs: dict[str, str] = field(default_factory=lambda: {"zHsmzt": "吉林消防"})
    played: tuple[int, str | bytes] | None = None
    shown: list[tuple[str, str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> "Platform":
        platform = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, said = platform.answer(self.path, body)
                data = said if isinstance(said, bytes) else said.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *given: Any) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/sms/norsubmit"

    @property
    def options(self) -> dict[str, str]:
        return {"company": self.company, "account": self.account, "secret": self.secret, "signature": "zHsmzt"}

    def answer(self, path: str, body: bytes) -> tuple[int, str | bytes]:
        with self._lock:
            self.bodies.append(body)
            if self.played is not None:
                return self.played
            code, group = self._judged(path, body)
        return 200, json.dumps({"success": code == "success", "rspcod": code, "msgGroup": group})

    def _judged(self, path: str, body: bytes) -> tuple[str, str]:
        try:
            asked = json.loads(base64.b64decode(body, validate=True).decode("utf-8"))
        except (binascii.Error, ValueError):
            return "InvalidMessage", ""
        if (
            path != "/sms/norsubmit"
            or not isinstance(asked, dict)
            or not all(isinstance(v, str) for v in asked.values())
        ):
            return "InvalidMessage", ""
        if set(asked) != FIELDS or (asked["ecName"], asked["apId"]) != (self.company, self.account):
            return "InvalidUsrOrPwd", ""
        order = [asked["ecName"], asked["apId"], self.secret]
        order += [asked[name] for name in ("mobiles", "content", "sign", "addSerial")]
        if asked["mac"] != hashlib.md5("".join(order).encode("utf-8")).hexdigest():
            return "IllegalMac", ""
        if asked["sign"] not in self.signs:
            return ("IllegalSignId" if asked["sign"] else "NoSignId"), ""
        numbers = asked["mobiles"].split(",")
        if len(numbers) > 5000:
            return "TooManyMobiles", ""
        if (
            not all(len(n) == 11 and n.isascii() and n.isdigit() and n[0] == "1" for n in numbers)
            or not asked["content"]
        ):
            return "InvalidMobile", ""
        group = f"{len(self.shown):022d}"
        for number in numbers:
            self.shown.append((number, f"【{self.signs[asked['sign']]}】{asked['content']}", group))
        return "success", group

    def report(self, at: int, status: str = "DELIVRD", error: str = "DELIVRD") -> dict[str, str]:
        """What would be pushed of the message `at`."""
        number, _, group = self.shown[at]
        return {
            "reportStatus": status,
            "mobile": number,
            "submitDate": "20261124103000",
            "receiveDate": "20261124103005",
            "errorCode": error,
            "msgGroup": group,
        }
