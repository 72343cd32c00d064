"""The recording engine: an uploaded file said as it is. A person's voice, a dialect, Korean by a native speaker."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from audio.errors import AudioError, TextRefused
from audio.pcm import Pcm, decode

RATE = 22050
MAX_BYTES = 50_000_000  # four minutes of stereo CD sound
MAX_SECONDS = 600.0
SUFFIXES = (".wav", ".mp3")


@dataclass(frozen=True)
class Recording:
    """`path`: one file, for a clip of one language; or a folder with a file for each, zh-CN.mp3, ko.wav, en.wav."""

    path: Path
    name: str = "recording"
    languages: frozenset[str] = frozenset({"zh-CN", "ko", "en"})

    @property
    def recipe(self) -> str:
        """Digest of what was recorded: the same words on another tape are another clip."""
        files = sorted(f for f in self.path.iterdir() if f.suffix in SUFFIXES) if self.path.is_dir() else [self.path]
        digest = hashlib.sha256()
        for file in files:
            digest.update(file.stem.encode() + b"\0" + hashlib.sha256(_content(file)).digest())
        return digest.hexdigest()

    def synthesise(self, text: str, lang: str, speed: float) -> Pcm:  # noqa: ARG002 - the protocol of all engines
        """The recording of `lang`, whatever `text` and `speed` are. Raises TextRefused: missing, unreadable or too long."""
        content = _content(self._file(lang))
        try:
            _check_length(content)
            return decode(content, RATE)
        except AudioError as error:
            raise TextRefused("recording-unreadable", f"{self.path}: {error.message}") from error

    def _file(self, lang: str) -> Path:
        if not self.path.is_dir():
            return self.path
        found = [file for suffix in SUFFIXES if (file := self.path / f"{lang}{suffix}").is_file()]
        if not found:
            raise TextRefused("recording-missing", f"{self.path} holds no {lang}.wav and no {lang}.mp3")
        return found[0]


def _content(file: Path) -> bytes:
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise TextRefused("recording-too-large", f"{file}: {size} bytes; at most {MAX_BYTES}")
        return file.read_bytes()
    except OSError as error:
        raise TextRefused("recording-missing", f"{file} cannot be read: {error.strerror}") from error


def _check_length(content: bytes) -> None:
    """Look before decoding: a small MP3 can hold hours."""
    import miniaudio

    for look in (miniaudio.wav_get_info, miniaudio.mp3_get_info):
        try:
            seconds = float(look(content).duration)
        except miniaudio.MiniaudioError:
            continue
        if seconds > MAX_SECONDS:
            raise AudioError("recording-too-long", f"{seconds:.0f} s; at most {MAX_SECONDS:.0f} s")
        return
    raise AudioError("sound-unreadable", "neither WAV nor MP3")
