"""Posts to group robots and accounts. One file per platform; `format` names it ("wecom" where it is empty)."""

from collections.abc import Sequence
from typing import ClassVar

from channels.base import Answer, Channel, ChannelSettings, Message, Problem, Size
from channels.providers import Provider, provider
from channels.social.posts import split

PROVIDERS = {"spool": "channels.spool:Spool", "wecom": "channels.social.wecom:WeComRobot"}

# Bytes of UTF-8 that one post takes. Source: social.md §1.1 of the fact sheets.
POST_OCTETS = {"wecom": 2048}
MOST_POSTS = 4  # of one text: a robot may post 20 times a minute, and nobody reads a series


class Social(Channel):
    """Group robots. Address: `wecom:<key of the robot>`."""

    kind: ClassVar[str] = "social"

    def __init__(self, settings: ChannelSettings) -> None:
        """Raises ChannelError: no such provider, or its settings do not fit."""
        super().__init__(settings)
        self._provider: Provider = provider(PROVIDERS, settings)

    @classmethod
    def measure(cls, text: str, format: str = "") -> Size:
        """Bytes of UTF-8 and the posts that the text is split into. Problems: `empty`, `surrogate`, `format`, `too-long`."""
        platform = format or "wecom"
        if platform not in POST_OCTETS:
            known = ", ".join(POST_OCTETS)
            return Size(problems=(Problem("format", f"no platform {platform!r}: choose one of {known}", platform),))
        if not text.strip():
            return Size(octets=0, characters=0, problems=(Problem("empty", "the text is empty"),))
        try:
            octets = len(text.encode())
        except UnicodeEncodeError:
            halves = Problem("surrogate", "half of a character: the text was cut inside a pair")
            return Size(characters=len(text), problems=(halves,))
        posts = len(split(text, POST_OCTETS[platform]))
        long = Problem("too-long", f"{octets} bytes make {posts} posts, {MOST_POSTS} at most: shorten it", str(octets))
        return Size(parts=posts, characters=len(text), octets=octets, problems=(long,) if posts > MOST_POSTS else ())

    def send(self, messages: Sequence[Message]) -> list[Answer]:
        """One answer per message, same order."""
        return self._provider.send(messages)

    def close(self) -> None:
        """Ends the provider's connections."""
        self._provider.close()
