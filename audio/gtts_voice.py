"""The gTTS engine: good voices, but online, an undocumented address, and blocked in mainland China. Only used when named."""

import io
from dataclasses import dataclass

from audio.errors import AudioError, VoiceUnavailable
from audio.pcm import Pcm, decode

RATE = 22050


@dataclass(frozen=True)
class Gtts:
    """`timeout`: seconds to connect and between bytes of one request; a text takes one request per 100 characters."""

    timeout: float = 10.0
    name: str = "gtts"
    recipe: str = "1"
    languages: frozenset[str] = frozenset({"zh-CN", "ko", "en"})

    def synthesise(self, text: str, lang: str, speed: float) -> Pcm:
        """The words as sound. Raises VoiceUnavailable: no network, refused, or no sound in the answer."""
        import gtts
        import requests

        sound = io.BytesIO()  # save() leaves an empty file behind when the network fails (seen); memory leaves nothing
        try:
            voice = gtts.gTTS(text, lang=lang, slow=speed < 0.8, timeout=self.timeout, lang_check=False)
            voice.write_to_fp(sound)
            return decode(sound.getvalue(), RATE)
        except (gtts.gTTSError, requests.RequestException, AssertionError) as error:
            raise VoiceUnavailable("voice-offline", f"gTTS did not answer: {error}") from error
        except AudioError as error:
            raise VoiceUnavailable("voice-offline", f"gTTS answered without sound: {error.message}") from error
