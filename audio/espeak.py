"""The espeak engine: robotic, offline, the same sound each time. The floor under every other voice."""

import html
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audio.errors import AudioError, VoiceUnavailable
from audio.pcm import Pcm, from_wav_stream

# Voice and pitch range that a recogniser understood best: cmn+f3 with 80 made 51 % errors, the default 80 % (measured).
VOICES = {"zh-CN": ("cmn+f3", 80), "ko": ("ko", 50), "en": ("en-us", 50)}
RATE = 140  # about 150 Chinese characters a minute: outdoors an echo eats faster speech
SLOWEST, FASTEST = 80, 450  # what espeak-ng takes
PROCESS = (sys.executable, "-P", str(Path(__file__).with_name("espeak_process.py")))


def _default_command() -> tuple[str, ...]:
    """The library in a process of its own; Debian's command where the loader package is not installed; else nothing."""
    if importlib.util.find_spec("espeakng_loader"):
        return PROCESS
    found = shutil.which("espeak-ng")
    return (found,) if found else ()


@dataclass(frozen=True)
class Espeak:
    """`command`: the child process of ours, or the path of an espeak-ng program. `timeout` in seconds for one text."""

    command: Sequence[str] = field(default_factory=_default_command)
    timeout: float = 30.0
    name: str = "espeak"
    languages: frozenset[str] = frozenset(VOICES)

    @property
    def recipe(self) -> str:
        """Rises when the same words would sound different: part of the cache key. The program is another version."""
        return "1-process" if len(self.command) > 1 else "1-program"

    def synthesise(self, text: str, lang: str, speed: float) -> Pcm:
        """The words as sound, 22,050 Hz. Raises VoiceUnavailable: not installed, unknown voice, crashed, too slow."""
        if not self.command:
            raise VoiceUnavailable("espeak-missing", "espeak-ng is not installed: pip install espeakng-loader")
        voice, pitch_range = VOICES[lang]
        rate = max(SLOWEST, min(FASTEST, round(RATE * speed)))
        if len(self.command) > 1:
            request = {"text": text, "voice": voice, "rate": rate, "range": pitch_range}
            return _from_process(self._run([], json.dumps(request).encode()))
        # The program has no option for the pitch range; SSML has, in per cent of the default 50.
        marked = f'<speak><prosody range="{pitch_range * 2}%">{html.escape(text, quote=False)}</prosody></speak>'
        options = ["-v", voice, "-s", str(rate), "-b", "1", "-m", "--stdin", "--stdout"]
        return _from_program(self._run(options, marked.encode()))

    def _run(self, options: list[str], stdin: bytes) -> subprocess.CompletedProcess[bytes]:
        command = [*self.command, *options]
        try:
            return subprocess.run(command, input=stdin, capture_output=True, timeout=self.timeout, check=False)
        except subprocess.TimeoutExpired as error:
            raise VoiceUnavailable("voice-timeout", f"espeak-ng took longer than {self.timeout} s") from error
        except OSError as error:
            raise VoiceUnavailable("espeak-missing", f"espeak-ng cannot be started: {error}") from error


def _from_process(done: subprocess.CompletedProcess[bytes]) -> Pcm:
    line, _, samples = done.stdout.partition(b"\n")
    try:
        head = json.loads(line)
    except ValueError as error:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2][:200]
        raise VoiceUnavailable("voice-crashed", f"espeak-ng ended with status {done.returncode}: {last}") from error
    if "error" in head:
        raise VoiceUnavailable(head["error"]["code"], head["error"]["message"])
    if done.returncode != 0 or len(samples) != head["bytes"]:
        raise VoiceUnavailable("voice-crashed", f"espeak-ng ended with status {done.returncode} before its sound did")
    return Pcm(samples, head["rate"])


def _from_program(done: subprocess.CompletedProcess[bytes]) -> Pcm:
    if done.returncode != 0:  # not enough: a wrong option or missing data end with 0 and no sound
        raise VoiceUnavailable("voice-crashed", f"espeak-ng ended with status {done.returncode}")
    try:
        return from_wav_stream(done.stdout)
    except AudioError as error:
        raise VoiceUnavailable("voice-crashed", error.message) from error
