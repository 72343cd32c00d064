"""Speech engines behind one protocol, tried in order for the whole announcement, their sound checked and kept on disk."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from audio.errors import AudioError, SpokenError, TextRefused, VoiceUnavailable
from audio.espeak import Espeak
from audio.files import sha256, write_atomically
from audio.gtts_voice import Gtts
from audio.pcm import Pcm, as_wav, from_wav_stream
from audio.recording import Recording
from audio.spoken import check_words, syllables

SLOWEST, FASTEST = 60, 400  # syllables a minute; outside of it the engine said something else, or nothing
SHORTEST = 0.5  # seconds; espeak-ng answers what it cannot say with 0.01 s and no error
PAUSES = 3.0  # seconds of pauses that a very short text may have beyond its pace
SILENT_PEAK = 328  # -40 dBFS


class Engine(Protocol):
    """What speaks. `speed` 1.0 is the engine's outdoor pace. `recipe` changes when the same words would sound different."""

    @property
    def name(self) -> str: ...
    @property
    def recipe(self) -> str: ...
    @property
    def languages(self) -> frozenset[str]: ...
    def synthesise(self, text: str, lang: str, speed: float) -> Pcm: ...


@dataclass(frozen=True, slots=True)
class Said:
    """Who spoke, and one sound per part."""

    engine: str
    parts: tuple[Pcm, ...]


def engine_named(name: str) -> Engine:
    """`espeak`, `gtts`, or `recording:PATH` (a file, or a folder with zh-CN.mp3, ko.wav). Raises VoiceUnavailable."""
    kind, _, path = name.partition(":")
    if kind == "recording" and path:
        return Recording(Path(path))
    if kind == "espeak" and not path:
        return Espeak()
    if kind == "gtts" and not path:
        return Gtts()
    raise VoiceUnavailable("voice-unknown", f"No speech engine {name!r}; there are espeak, gtts, recording:PATH")


def say(parts: Sequence[tuple[str, str]], engines: Sequence[Engine], cache: Path, speed: float = 1.0) -> Said:
    """All `parts` (language, words as said) by the first engine that can speak every one of them: no change of voice midway.

    Raises TextRefused (a person must look) and VoiceUnavailable `voice-none` naming what each engine answered.
    """
    check_texts(parts)
    answers = []
    for engine in engines:
        try:
            if isinstance(engine, Recording):
                return Said(engine.name, _recorded(parts, engine, speed))
            return Said(engine.name, tuple(_kept(engine, lang, words, cache, speed) for lang, words in parts))
        except VoiceUnavailable as error:
            answers.append(f"{engine.name}: {error.message}")
    raise VoiceUnavailable("voice-none", "No engine could speak. " + "; ".join(answers))


def check_texts(parts: Sequence[tuple[str, str]]) -> None:
    """Refuse words that are not as `spoken` leaves them. Raises TextRefused."""
    try:
        for lang, words in parts:
            check_words(words, lang)
    except SpokenError as error:
        raise TextRefused(error.code, error.message) from error


def _recorded(parts: Sequence[tuple[str, str]], engine: Recording, speed: float) -> tuple[Pcm, ...]:
    if len(parts) > 1 and not engine.path.is_dir():
        raise TextRefused("recording-missing", "One file holds one language; give a folder with a file for each.")
    return tuple(engine.synthesise(words, lang, speed) for lang, words in parts)


def _kept(engine: Engine, lang: str, words: str, cache: Path, speed: float) -> Pcm:
    """From the cache, or spoken, checked and then cached."""
    if lang not in engine.languages:
        raise VoiceUnavailable("voice-language", f"does not speak {lang}")
    key = json.dumps([engine.name, engine.recipe, lang, speed, words], ensure_ascii=False)
    file = cache / f"{sha256(key.encode())}.wav"
    kept = _cached(file)
    if kept:
        return kept
    pcm = engine.synthesise(words, lang, speed)
    check_sound(pcm, words, lang)
    write_atomically(file, as_wav(pcm))
    return pcm


def _cached(file: Path) -> Pcm | None:
    try:
        content = file.read_bytes()
        pcm = from_wav_stream(content)
    except (OSError, AudioError):
        return None
    return pcm if as_wav(pcm) == content else None  # cut short: speak again


def check_sound(pcm: Pcm, words: str, lang: str) -> None:
    """Whether the sound can be the words: not silent, not too short, at a human pace. Raises VoiceUnavailable."""
    count, seconds = syllables(words, lang), pcm.seconds
    if seconds < SHORTEST or pcm.peak < SILENT_PEAK:
        raise VoiceUnavailable("voice-silent", f"{seconds:.2f} s of sound, peak {pcm.peak}: silence")
    if not count * 60 / FASTEST <= seconds <= count * 60 / SLOWEST + PAUSES:
        raise VoiceUnavailable("voice-implausible", f"{seconds:.1f} s for {count} syllables: not these words")
