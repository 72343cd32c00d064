"""Sound as samples: PCM16 mono, and how files become it."""

import struct
import sys
from array import array
from dataclasses import dataclass

from audio.errors import AudioError


@dataclass(frozen=True, slots=True)
class Pcm:
    """Signed 16-bit little-endian mono samples and their rate in Hz."""

    samples: bytes
    rate: int

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / 2 / self.rate

    @property
    def peak(self) -> int:
        """The largest sample without its sign, 0..32768."""
        values = array("h", self.samples)
        if sys.byteorder == "big":
            values.byteswap()
        low, high = min(values, default=0), max(values, default=0)
        return max(-low, high)


def decode(content: bytes, rate: int) -> Pcm:
    """A WAV, MP3, FLAC or Vorbis file as mono samples of `rate` Hz. Raises AudioError `sound-unreadable`."""
    import miniaudio

    try:
        sound = miniaudio.decode(content, miniaudio.SampleFormat.SIGNED16, 1, rate)
    except miniaudio.MiniaudioError as error:
        raise AudioError(
            "sound-unreadable", f"Not a sound file that can be read (WAV, MP3, FLAC, OGG): {error}"
        ) from error
    return Pcm(sound.samples.tobytes(), rate)


def resampled(pcm: Pcm, rate: int) -> Pcm:
    """The same sound at another rate, low-pass filtered so that nothing folds back."""
    import miniaudio

    if pcm.rate == rate:
        return pcm
    kind = miniaudio.SampleFormat.SIGNED16
    made = miniaudio.convert_frames(kind, 1, pcm.rate, pcm.samples, kind, 1, rate)
    return Pcm(bytes(made), rate)


def as_wav(pcm: Pcm) -> bytes:
    """A WAV file of the samples: the plain 44-byte header that simple boxes expect."""
    size = len(pcm.samples)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, pcm.rate, pcm.rate * 2, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVE" + form + b"data" + struct.pack("<I", size) + pcm.samples


def from_wav_stream(content: bytes) -> Pcm:
    """A PCM16 mono WAV that a program wrote to a pipe; its header cannot know the length. Raises AudioError."""
    start = content.find(b"data")
    if content[:4] != b"RIFF" or start < 36:
        raise AudioError("sound-unreadable", "The program wrote no WAV file.")
    channels, rate = struct.unpack_from("<HI", content, 22)
    if channels != 1:
        raise AudioError("sound-unreadable", f"The program wrote {channels} channels, not one.")
    samples = content[start + 8 :]
    return Pcm(samples[: len(samples) // 2 * 2], int(rate))
