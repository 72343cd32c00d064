"""LED billboards: a board fetches the text that fits it. What fits is decided when a text is written, not when it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from channels.base import Answer, AnswerWord, Channel, Message, Problem, Size
from channels.billboard.characters import FitError
from channels.billboard.fitting import Layout, fit

__all__ = ["Billboard", "BoardFormat", "FitError", "Layout", "fit"]


@dataclass(frozen=True, slots=True)
class BoardFormat:
    """What a board can show. Written "128x32/16/gb18030/pages"; what is left out from the end is as here."""

    width: int = 128  # px
    height: int = 32
    glyph: int = 16  # px, height of a line and width of a full-width character
    encoding: str = "gb18030"
    mode: str = "pages"  # pages | scroll

    @classmethod
    def parse(cls, text: str) -> "BoardFormat":
        """Raises FitError "format": not of that form."""
        size, glyph, encoding, mode, *more = [*text.split("/"), "", "", "", ""]
        width, x, height = (size or "128x32").lower().partition("x")
        numbers = (width, height, glyph or "16")
        if any(more) or not x or not all(n.isascii() and n.isdigit() and len(n) <= 5 for n in numbers):
            raise FitError("format", f"{text!r} is no board: write it like 128x32/16/gb18030/pages", text)
        return cls(int(width), int(height), int(glyph or "16"), encoding.lower() or "gb18030", mode or "pages")

    def fit(self, text: str) -> Layout:
        """`text` on this board. Raises FitError."""
        return fit(text, self.width, self.height, self.glyph, self.encoding, self.mode)


class Billboard(Channel):
    """LED boards. Address: `board:…`; format as BoardFormat writes it."""

    kind: ClassVar[str] = "billboard"
    pull: ClassVar[bool] = True

    @classmethod
    def measure(cls, text: str, format: str = "") -> Size:
        """Pages, seconds of one showing, character set. The problems carry the codes of FitError."""
        try:
            board = BoardFormat.parse(format)
            layout = board.fit(text)
        except FitError as error:
            problem = Problem(error.code, str(error), error.characters)
            return Size(characters=len(text), problems=(problem,))
        return Size(board.encoding, seconds=layout.seconds, pages=layout.pages, characters=layout.characters)

    def send(self, messages: Sequence[Message]) -> list[Answer]:
        """Nothing is pushed to a board: the worker hands its messages to the feeds."""
        return [Answer(AnswerWord.CONFIG_ERROR, reason="pull-channel", detail="boards fetch")] * len(messages)
