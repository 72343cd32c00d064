"""WeCom group robot: POST /cgi-bin/webhook/send?key=…; HTTP 200 says nothing, `errcode` in the body does.

Limits: a text of 2,048 bytes, 20 posts a minute and robot (documented; the worker paces, this file reports).
The key of a robot is a credential: it stands in no answer, no log and no error.
"""

import re
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as quoted

from channels.base import ACCEPTED, Answer, AnswerWord, ChannelSettings, Message
from channels.replies import Reply, json_object, refusal, told
from channels.social.posts import split
from channels.wire import Unanswered, Wire, base_url, connections

TEXT_OCTETS = 2048
MINUTE_S = 60.0
_ADDRESS = re.compile(r"wecom:([A-Za-z0-9_-]{1,64})")

# Other codes: it may have been posted; counted unknown, the raw answer kept.
CODES: Mapping[int, Answer] = {
    0: ACCEPTED,
    45009: Answer(AnswerWord.RETRY, reason="rate", after_s=MINUTE_S),
    40058: Answer(AnswerWord.FAILED, reason="too-long"),
    # "invalid webhook url": the robot was removed or its key is wrong. That is this recipient, not the channel: one group
    # that removes its robot must not stop the others.
    93000: Answer(AnswerWord.FAILED, reason="robot-unknown"),
}


class WeComRobot:
    """Provider "wecom". Settings: `url`, scheme and host of the platform; option `connections` (100)."""

    def __init__(self, settings: ChannelSettings) -> None:
        """Raises ChannelError: the address or the number of connections cannot be used."""
        self._base = base_url(settings.url) / "cgi-bin" / "webhook" / "send"
        self._wire = Wire(connections(settings))

    def send(self, messages: Sequence[Message]) -> list[Answer]:
        """All messages at once; the posts of one message one after the other."""
        return self._wire.each(self._ask, messages)

    def close(self) -> None:
        """Ends the connections."""
        self._wire.close()

    async def _ask(self, message: Message) -> Answer:
        found = _ADDRESS.fullmatch(message.to)
        if not found:
            return Answer(AnswerWord.FAILED, reason="address", detail="not the key of a WeCom robot")
        url = self._base.with_query(key=found[1])
        posts = split(message.text, TEXT_OCTETS)
        for at, post in enumerate(posts):
            try:
                answer = read(await self._wire.post(url, _body(post)), message)
            except Unanswered as error:
                answer = error.answer
            if answer.word is not AnswerWord.ACCEPTED:
                return answer if at == 0 else _partly(answer, at, len(posts))
        return ACCEPTED


def read(reply: Reply, message: Message) -> Answer:
    """The robot's reply as an answer, by CODES."""
    refused = refusal(reply, message)
    if refused is not None:
        return refused
    code = (json_object(reply.body) or {}).get("errcode")
    detail = told(reply.body, message)
    if not isinstance(code, int) or isinstance(code, bool):
        return Answer(AnswerWord.UNCERTAIN, reason="reply-unreadable", detail=detail)
    known = CODES.get(code)
    if known is None:
        return Answer(AnswerWord.UNCERTAIN, reason=f"wecom-{code}", detail=detail)
    if known is ACCEPTED:
        return ACCEPTED
    return Answer(known.word, reason=known.reason, detail=detail, after_s=known.after_s)


def _partly(answer: Answer, posted: int, posts: int) -> Answer:
    """Some posts are out: a retry would post them again, so only a person or the lane's rule may decide on it."""
    return Answer(AnswerWord.UNCERTAIN, reason="partly-posted", detail=f"{posted} of {posts}, then {answer.reason}")


def _body(text: str) -> bytes:
    return f'{{"msgtype":"text","text":{{"content":{quoted(text)}}}}}'.encode()
