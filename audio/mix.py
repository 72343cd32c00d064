"""Chime, words, pauses and repeats into one sound of even loudness. The only file that knows pydub.

A horn has no headroom, so the level is set by the RMS of the speech alone and the few peaks above the limit are cut off.
"""

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from audio.estimate import AFTER_CHIME, AFTER_WORDS, BETWEEN_LANGUAGES, CHIME
from audio.pcm import Pcm, resampled

with (
    warnings.catch_warnings()
):  # pydub complains of its own regular expressions and of a missing ffmpeg, not needed here
    warnings.simplefilter("ignore")
    from pydub import AudioSegment
    from pydub.generators import Sine

RATE = 22050
SPEECH_DBFS = -18.0  # RMS of the speech
PEAK_DBFS = -1.5
CHIME_DBFS = -15.0  # RMS: heard above the words that follow
SILENCE_DBFS = -50.0  # a slice below it is a pause and no speech
SLICE_MS = 50
LOW, HIGH = 523.25, 659.26  # Hz, c and e: two tones one after the other, unlike the regulated 853 + 960 Hz together


class Silent(Exception):
    """There is no speech to set the level by."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """The whole announcement at 22,050 Hz, and the loudness of its speech in dBFS RMS."""

    pcm: Pcm
    loudness: float


def mix(words: Sequence[Pcm], *, chime: bool, repeat: int) -> Mixed:
    """Chime, words (0.7 s between languages), pause, repeated; end chime. Raises Silent."""
    said = [levelled(_segment(resampled(pcm, RATE))) for pcm in words]
    once = _joined(said, BETWEEN_LANGUAGES)
    if chime:
        body = [once + _pause(AFTER_WORDS)] * repeat
        whole = _joined([_chime(LOW, HIGH) + _pause(AFTER_CHIME), *body, _chime(HIGH, LOW)], 0)
    else:
        whole = _joined([once] * repeat, AFTER_WORDS)
    return Mixed(Pcm(whole.raw_data, RATE), round(loudness(said), 2))


def levelled(speech: Any) -> Any:
    """`speech` with its RMS at SPEECH_DBFS and no peak above PEAK_DBFS. Twice: cutting peaks takes a little level away."""
    for _ in range(2):
        gain = SPEECH_DBFS - loudness([speech])
        speech = speech.apply_gain(gain - PEAK_DBFS).apply_gain(PEAK_DBFS)  # the first saturates at full scale
    return speech


def loudness(speech: Iterable[Any]) -> float:
    """RMS in dBFS over the slices that are speech, pauses left out. Raises Silent where there are none."""
    slices = [piece for segment in speech for piece in segment[::SLICE_MS]]
    power = [p.rms**2 for p in slices if p.dBFS > SILENCE_DBFS]
    if not power:
        raise Silent
    return 10 * math.log10(sum(power) / len(power) / 32768**2)


def loudness_of(pcm: Pcm) -> float:
    """The same of samples. Raises Silent."""
    return loudness([_segment(pcm)])


def _segment(pcm: Pcm) -> Any:
    return AudioSegment(data=pcm.samples, sample_width=2, frame_rate=pcm.rate, channels=1)


def _pause(seconds: float) -> Any:
    return AudioSegment.silent(duration=round(seconds * 1000), frame_rate=RATE)


def _joined(segments: Sequence[Any], pause: float) -> Any:
    """One after the other; bytes joined at once, because every `+` of pydub copies all that came before."""
    gap = _pause(pause).raw_data if pause else b""
    return _segment(Pcm(gap.join(s.raw_data for s in segments), RATE))


@lru_cache(maxsize=4)
def _chime(first: float, second: float) -> Any:
    """Two tones that ring out, the second over the rest of CHIME seconds."""
    half = round(CHIME * 1000 / 2)
    tones = [_tone(hertz, half) for hertz in (first, second)]
    both = _joined(tones, 0)
    return both.apply_gain(CHIME_DBFS - both.dBFS)


def _tone(hertz: float, duration: int) -> Any:
    tone = Sine(hertz, sample_rate=RATE).to_audio_segment(duration=duration, volume=-6)
    return tone.fade(to_gain=-30, start=60, end=duration).fade_in(8).fade_out(60)
