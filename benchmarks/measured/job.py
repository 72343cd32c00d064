"""The same recipients and texts for what is measured beside the program, in one file that needs nothing of ours to be read.

First line: the wordings, {id: pieces}. Then a line per recipient: delivery, to, text, parts, expires, wording, slots.
"""

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

from measured.inside import carry_out, prepared

from broadcaster.deliver.sending import Sender, Sent, Window
from broadcaster.store import delivering
from channels.base import ACCEPTED, Message


class Collecting(Sender):
    """Keeps what would have been sent."""

    def send(self, chunk: delivering.ChunkRow, window: Window, stop: Event) -> Sent:  # noqa: ARG002
        """Makes the messages and sends none."""
        self.wordings = {**getattr(self, "wordings", {}), **self._messages.wordings(window.campaign.id)}
        self.lines: list[dict[str, Any]] = getattr(self, "lines", [])
        for row, message in zip(
            window.rows, self._messages.made(window.campaign, window.rows, lambda _delivery: ""), strict=True
        ):
            assert isinstance(message, Message)
            self.lines.append(
                {
                    "delivery": message.delivery,
                    "to": message.to,
                    "text": message.text,
                    "parts": message.parts,
                    "expires": datetime.fromtimestamp(message.expires_at / 1000, UTC).isoformat(
                        timespec="milliseconds"
                    ),
                    "wording": row.wording_id,
                    "slots": json.loads(row.slots or "[]"),
                }
            )
        return Sent(window, [ACCEPTED] * len(window.rows), "none")


def write_job(file: Path, phones: int) -> None:
    """What the program would send to so many phones."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        inst, _, _ = prepared(Path(folder), phones)
        _, senders = carry_out(inst, Collecting)
        inst.close()
    collected = senders[0]
    assert isinstance(collected, Collecting)
    assert len(collected.lines) == phones
    with file.open("w", encoding="utf-8") as out:
        for one in (collected.wordings, *collected.lines):
            out.write(json.dumps(one, ensure_ascii=False) + "\n")
