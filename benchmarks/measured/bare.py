"""The bare loop: the program's own HTTP client posting ready bodies, and nothing else. No database, no claim, no count.

Run: python bare.py FILE URL INDEX PROCESSES. Prints "ready", waits for a line on stdin, posts, prints how many were taken.
"""

import json
import sys
from itertools import islice
from pathlib import Path

from channels.base import ACCEPTED, Answer, AnswerWord, Message
from channels.wire import Wire, base_url

CONNECTIONS = 50  # as many as a worker has in flight
BATCH = 5_000


def messages(file: Path, index: int, processes: int) -> tuple[list[Message], dict[str, bytes]]:
    """This process's share and the body of each."""
    found, bodies = [], {}
    with file.open(encoding="utf-8") as lines:
        for line in islice(lines, 1 + index, None, processes):
            told = json.loads(line)
            body = {name: told[name] for name in ("delivery", "to", "text", "parts", "expires")}
            bodies[told["delivery"]] = json.dumps(body, separators=(",", ":")).encode()
            found.append(Message(told["delivery"], told["to"], "", told["parts"], 0, "live", "notice"))
    return found, bodies


def main(file: str, url: str, index: str, processes: str) -> None:
    """Posts the share."""
    found, bodies = messages(Path(file), int(index), int(processes))
    wire, address = Wire(CONNECTIONS), base_url(url)

    async def ask(message: Message) -> Answer:
        reply = await wire.post(address, bodies[message.delivery])
        return ACCEPTED if reply.status == 202 else Answer(AnswerWord.FAILED)

    print("ready", flush=True)
    sys.stdin.readline()
    taken = 0
    for start in range(0, len(found), BATCH):
        taken += wire.each(ask, found[start : start + BATCH]).count(ACCEPTED)
    print(taken, flush=True)
    wire.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
