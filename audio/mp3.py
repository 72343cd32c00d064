"""MP3 as old devices take it: constant bit rate, mono, no tag before the first frame, no ffmpeg needed."""

from audio.pcm import Pcm

KBIT = 48
QUALITY = 5  # LAME's middle: 2 takes twice the time for speech that sounds the same on a horn


def as_mp3(pcm: Pcm) -> bytes:
    """An MP3 file of the samples at their own rate: MPEG-2 Layer III, CBR 48 kbit/s, mono."""
    import lameenc

    encoder = lameenc.Encoder()
    encoder.silence()
    encoder.set_channels(1)
    encoder.set_in_sample_rate(pcm.rate)
    encoder.set_out_sample_rate(pcm.rate)
    encoder.set_bit_rate(KBIT)
    encoder.set_quality(QUALITY)
    return bytes(encoder.encode(pcm.samples)) + bytes(encoder.flush())
