"""One announcement as files: synthesised once, checked, and kept under the digest of what is in them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from audio.errors import AudioError, ClipError
from audio.estimate import AFTER_CHIME, BETWEEN_LANGUAGES, CHIME, clip_seconds, estimate_seconds
from audio.files import sha256, write_atomically
from audio.pcm import Pcm, as_wav, decode, resampled
from audio.speech import Engine, Said, check_texts, engine_named, say

RECIPE = 1  # rises when the same inputs would give another sound
WAV_RATE = 16000
MAX_MP3_BYTES = 6_000_000  # what an old 4G speaker takes
MAX_SECONDS = 900.0  # 5.4 MB of MP3
MAX_REPEAT = 5
LOUDNESS_TOLERANCE = 1.5  # dB between the speech as it is in the file and the target
LENGTH_TOLERANCE = 0.25  # seconds; an MP3 is padded to whole frames at both ends


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A file in the clip's folder. `path` is its name there: the SHA-256 of its content and its suffix."""

    sha256: str
    bytes: int
    type: str
    path: str


@dataclass(frozen=True, slots=True)
class Clip:
    """`digest`: of the inputs. `seconds`: of the sound. `engine`: who spoke. `loudness`: of the speech alone, dBFS RMS."""

    digest: str
    mp3: AudioFile
    wav: AudioFile
    seconds: float
    engine: str
    loudness: float

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def make_clip(
    parts: Sequence[tuple[str, str]],
    folder: Path,
    *,
    chime: bool = True,
    repeat: int = 2,
    engines: Sequence[str] = ("espeak",),
) -> Clip:
    """MP3 and WAV of `parts` (language, words as said by `spoken`) in the order they are heard; the clip of the first time
    where the same was asked before.

    `engines` are tried in order for the whole announcement: espeak, gtts, recording:PATH. Raises ClipError (nothing to say,
    too long, or a check that failed: nothing was published), TextRefused, VoiceUnavailable.
    """
    _check_order(parts, repeat, chime)
    chain = [engine_named(name) for name in engines]
    digest = clip_digest(parts, chime=chime, repeat=repeat, engines=chain)
    index = folder / f"{digest}.json"
    kept = _kept(index)
    if kept:
        return kept
    said = say(parts, chain, folder / "speech")
    clip = _publish(said, digest, folder, chime=chime, repeat=repeat)
    write_atomically(index, json.dumps(clip.as_json(), indent=1).encode())
    return clip


def clip_digest(parts: Sequence[tuple[str, str]], *, chime: bool, repeat: int, engines: Sequence[Engine]) -> str:
    """SHA-256 over all that decides how the clip sounds."""
    recipe = {
        "recipe": RECIPE,
        "parts": [list(part) for part in parts],
        "chime": chime,
        "repeat": repeat,
        "engines": [[engine.name, engine.recipe] for engine in engines],
    }
    return sha256(json.dumps(recipe, ensure_ascii=False, sort_keys=True).encode())


def _check_order(parts: Sequence[tuple[str, str]], repeat: int, chime: bool) -> None:
    """Before anything is spoken: is there something to say, and could it ever fit?"""
    if not parts:
        raise ClipError("clip-empty", "There are no words to say.")
    check_texts(parts)
    if not 1 <= repeat <= MAX_REPEAT:
        raise ClipError("clip-repeat", f"The words can be said 1 to {MAX_REPEAT} times, not {repeat}.")
    seconds = estimate_seconds(parts, repeat, chime)
    if seconds > MAX_SECONDS:
        raise ClipError("clip-too-long", f"About {seconds:.0f} s; at most {MAX_SECONDS:.0f} s. Shorten the text.")


def _kept(index: Path) -> Clip | None:
    """The clip of an earlier run, if its files are still what they were."""
    try:
        row = json.loads(index.read_bytes())
        clip = Clip(**{**row, "mp3": AudioFile(**row["mp3"]), "wav": AudioFile(**row["wav"])})
        files = ((file, (index.parent / file.path).read_bytes()) for file in (clip.mp3, clip.wav))
        return clip if all(sha256(content) == file.sha256 for file, content in files) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None  # never made, or damaged: made again


def _publish(said: Said, digest: str, folder: Path, *, chime: bool, repeat: int) -> Clip:
    """Mix, encode, check; only then do the files get their names."""
    from audio.mix import Silent, mix
    from audio.mp3 import as_mp3

    try:
        mixed = mix(said.parts, chime=chime, repeat=repeat)
    except Silent:
        raise ClipError("clip-silent", "There is no speech in this sound.") from None
    expected = clip_seconds([pcm.seconds for pcm in said.parts], repeat, chime)
    mp3, wav = as_mp3(mixed.pcm), as_wav(resampled(mixed.pcm, WAV_RATE))
    for content in (mp3, wav):
        _check_file(content, expected)
    _check_level(said, mp3, chime)
    if len(mp3) > MAX_MP3_BYTES:
        raise ClipError("clip-too-large", f"{len(mp3)} bytes; speakers take at most {MAX_MP3_BYTES}. Shorten the text.")
    files = _stored(folder, mp3, ".mp3", "audio/mpeg"), _stored(folder, wav, ".wav", "audio/wav")
    return Clip(digest, *files, round(mixed.pcm.seconds, 3), said.engine, mixed.loudness)


def _check_file(content: bytes, expected: float) -> None:
    """The file as a player will read it: it decodes, and lasts as long as what went into it."""
    try:
        seconds = decode(content, WAV_RATE).seconds
    except AudioError as error:
        raise ClipError("clip-unreadable", error.message) from error
    if abs(seconds - expected) > LENGTH_TOLERANCE:
        raise ClipError("clip-length", f"The file lasts {seconds:.2f} s, its parts {expected:.2f} s.")
    if seconds > MAX_SECONDS:
        raise ClipError("clip-too-long", f"{seconds:.0f} s; at most {MAX_SECONDS:.0f} s.")


def _check_level(said: Said, mp3: bytes, chime: bool) -> None:
    """The speech in the finished MP3, chime and pauses left out, is as loud as it should be."""
    from audio.mix import RATE, SPEECH_DBFS, Silent, loudness_of

    start = round((CHIME + AFTER_CHIME if chime else 0) * RATE) * 2
    once = sum(pcm.seconds for pcm in said.parts) + BETWEEN_LANGUAGES * (len(said.parts) - 1)
    speech = decode(mp3, RATE).samples[start : start + round(once * RATE) * 2]
    try:
        found = loudness_of(Pcm(speech, RATE))
    except Silent:
        raise ClipError("clip-silent", "There is no speech in the finished file.") from None
    if abs(found - SPEECH_DBFS) > LOUDNESS_TOLERANCE:
        raise ClipError("clip-loudness", f"The speech is at {found:.1f} dBFS RMS, not at {SPEECH_DBFS}.")


def _stored(folder: Path, content: bytes, suffix: str, kind: str) -> AudioFile:
    digest = sha256(content)
    name = digest + suffix
    write_atomically(folder / name, content)
    return AudioFile(digest, len(content), kind, name)
