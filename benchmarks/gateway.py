"""What each SMS provider's adapter costs, beside a bare loop of the same HTTP client; and a storm of receipts.

A sink on this machine answers as each provider would, at once and after 50 ms. Prints messages/s and processor time of each, in
turns, with their ratio to the bare loop of the same turn. Then receipts come in as fast as after a large campaign (receipts.py).
Run: ./scripts/bench gateway [--messages N] [--rounds N] [--receipts N] [--without-receipts]
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from measured.machine import load
from measured.providers_sink import ACCOUNT, REPLIES, TEXT, TO

from channels.base import ACCEPTED, Answer, AnswerWord, ChannelSettings, Message
from channels.sms import Sms
from channels.wire import Wire, base_url

HERE = Path(__file__).parent
CONNECTIONS = 100
OPTIONS = {
    "http": {},
    "kannel": {"user": "alert", "password": "pw", "sender": "12379"},
    "twilio": {"account": ACCOUNT, "token": "t" * 32, "sender": "+14155552345"},
    "mas": {"company": "c", "account": "a", "secret": "s", "signature": "g"},
}


def messages(count: int) -> list[Message]:
    """Different names, one text."""
    ends = int((time.time() + 3600) * 1000)
    base = "https://alerts.example.org/callbacks/sms/x"
    return [
        Message(f"7-{n}-abcdefghijklmnop", f"tel:{TO}", TEXT, 1, ends, "live", "notice", f"{base}/7-{n}-x/0")
        for n in range(count)
    ]


@contextmanager
def sink(provider: str, wait_s: float) -> Iterator[str]:
    """Address of a provider that answers after a while."""
    words = [sys.executable, str(HERE / "measured" / "providers_sink.py"), provider, str(wait_s)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/"
        finally:
            process.terminate()


def timed(count: int, send: Callable[[list[Message]], list[Answer]]) -> tuple[float, float]:
    """(messages/s, µs of processor each) of sending so many. The first fifty, which open the connections, are not counted."""
    send(messages(50))
    wanted = messages(count)
    begun, used = time.perf_counter(), time.process_time()
    told = send(wanted)
    took = time.perf_counter() - begun
    assert {answer.word for answer in told} == {AnswerWord.ACCEPTED}, told[0]
    return count / took, (time.process_time() - used) / count * 1e6


def adapter(provider: str, url: str, count: int) -> tuple[float, float]:
    """The adapter as a worker uses it."""
    settings = {**OPTIONS[provider], "connections": str(CONNECTIONS)}
    made = Sms(ChannelSettings(provider=provider, url=url, options=settings))
    try:
        return timed(count, lambda wanted: list(made.send(wanted)))
    finally:
        made.close()


def bare(url: str, count: int) -> tuple[float, float]:
    """The same client posting one ready body: no text, no form, no reading of the reply."""
    wire, address, body = Wire(CONNECTIONS), base_url(url), TEXT.encode()

    async def ask(_message: Message) -> Answer:
        reply = await wire.post(address, body)
        return ACCEPTED if reply.status < 300 else Answer(AnswerWord.FAILED)

    try:
        return timed(count, lambda wanted: wire.each(ask, wanted))
    finally:
        wire.close()


def compare(given: argparse.Namespace, wait_s: float) -> None:
    """Every provider beside the bare loop, round by round."""
    print(
        f"{given.messages:,} messages, {CONNECTIONS} in flight, replies after {wait_s * 1000:.0f} ms, {given.rounds} rounds"
    )
    for provider in REPLIES:
        rows = []
        for _ in range(given.rounds):
            with sink(provider, wait_s) as url:
                rows.append((*adapter(provider, url, given.messages), *bare(url, given.messages)))
        rate, used, bare_rate, bare_used = (statistics.median(values) for values in zip(*rows, strict=True))
        ratios = [row[0] / row[2] for row in rows]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})"
        print(
            f"  {provider:8} {rate:8,.0f}/s {used:5.0f} µs   bare {bare_rate:8,.0f}/s {bare_used:5.0f} µs   ratio {spread}"
        )


def main() -> None:
    """Adapters, then receipts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--receipts", type=int, default=200_000)
    parser.add_argument("--without-receipts", action="store_true")
    given = parser.parse_args()
    print(f"load {load()}")
    for wait_s in (0.0, 0.05):
        compare(given, wait_s)
    if not given.without_receipts:
        words = [sys.executable, str(HERE / "receipts.py"), "--receipts", str(given.receipts)]
        sys.stdout.flush()
        sys.exit(subprocess.run(words, check=False).returncode)


if __name__ == "__main__":
    main()
