"""What the room refuses, and why: a stable code for programs, words for people."""


class AudioError(Exception):
    """Base of every refusal of this room. `code` is stable; `message` says what is wrong and what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class SpokenError(AudioError):
    """A written text that cannot be said as it stands. `where` holds the characters that are in the way."""

    def __init__(self, code: str, message: str, where: str = "") -> None:
        super().__init__(code, message)
        self.where = where


class TextRefused(AudioError):
    """Words that no engine should be given: a person must look."""


class VoiceUnavailable(AudioError):
    """An engine that cannot speak now, or spoke badly: the next one may be tried."""


class ClipError(AudioError):
    """A clip that failed a check. It is not published."""
