"""Engines: what they say is checked, kept, and never mixed in one announcement."""

import json
import math
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from audio.errors import AudioError, TextRefused, VoiceUnavailable
from audio.espeak import PROCESS, Espeak
from audio.gtts_voice import Gtts
from audio.mp3 import as_mp3
from audio.pcm import Pcm, as_wav, decode, from_wav_stream, resampled
from audio.recording import Recording
from audio.speech import check_sound, engine_named, say

WORDS = {
    "zh-CN": "发现火情，请立即拨打幺幺九报警。",
    "ko": "화재를 발견하면 즉시 일일구로 신고하십시오.",
    "en": "If you see a fire, call one one nine at once.",
}
PARTS = [("zh-CN", WORDS["zh-CN"]), ("ko", WORDS["ko"])]


def tone(seconds: float, rate: int = 22050, level: float = 0.5) -> Pcm:
    count = round(seconds * rate)
    values = (round(32767 * level * math.sin(2 * math.pi * 440 * n / rate)) for n in range(count))
    return Pcm(struct.pack(f"<{count}h", *values), rate)


@dataclass
class Fake:
    """An engine that answers what it is told to, and remembers what it was asked."""

    name: str = "fake"
    sound: Pcm = field(default_factory=lambda: tone(4.0))
    fails_in: frozenset[str] = frozenset()
    recipe: str = "1"
    languages: frozenset[str] = frozenset({"zh-CN", "ko", "en"})
    asked: list[str] = field(default_factory=list)

    def synthesise(self, text: str, lang: str, speed: float) -> Pcm:
        self.asked.append(lang)
        if lang in self.fails_in:
            raise VoiceUnavailable("voice-offline", f"no {lang} today")
        return self.sound


@pytest.mark.parametrize("lang", WORDS)
def test_espeak_says_every_language_at_a_human_pace(lang: str) -> None:
    pcm = Espeak().synthesise(WORDS[lang], lang, 1.0)
    assert pcm.rate == 22050
    assert pcm.peak > 5000
    check_sound(pcm, WORDS[lang], lang)


def test_espeak_says_the_same_words_the_same_way_and_faster_when_told() -> None:
    first = Espeak().synthesise(WORDS["zh-CN"], "zh-CN", 1.0)
    time.sleep(1.1)  # espeak-ng seeds its breath noise from the second of the clock, unless told otherwise
    assert Espeak().synthesise(WORDS["zh-CN"], "zh-CN", 1.0) == first
    assert Espeak().synthesise(WORDS["zh-CN"], "zh-CN", 1.3).seconds < first.seconds * 0.85


def test_espeak_speaks_mandarin_with_the_measured_voice() -> None:
    def asked(voice: str, pitch_range: int) -> bytes:
        request = {"text": WORDS["zh-CN"], "voice": voice, "rate": 140, "range": pitch_range}
        return subprocess.run(PROCESS, input=json.dumps(request).encode(), capture_output=True, check=True).stdout

    said = Espeak().synthesise(WORDS["zh-CN"], "zh-CN", 1.0).samples
    assert asked("cmn+f3", 80).endswith(said)
    assert not asked("cmn+f3", 50).endswith(said)
    assert not asked("cmn", 80).endswith(said)


def test_an_unknown_voice_is_refused_and_not_replaced_by_another() -> None:
    request = {"text": "hello there", "voice": "xx-none", "rate": 140, "range": 50}
    done = subprocess.run(PROCESS, input=json.dumps(request).encode(), capture_output=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "voice-unknown"


def test_the_voice_process_imports_nothing_of_ours() -> None:
    code = (
        "import runpy, sys; runpy.run_path(sys.argv[1]); print([m for m in sys.modules if m.split('.')[0] == 'audio'])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code, PROCESS[-1]], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_voice_process_that_kills_itself_is_a_voice_that_is_unavailable() -> None:
    suicide = (sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(VoiceUnavailable) as caught:
        Espeak(command=suicide).synthesise("好", "zh-CN", 1.0)
    assert caught.value.code == "voice-crashed"
    assert "-9" in caught.value.message


def test_a_voice_process_killed_from_outside_is_a_voice_that_is_unavailable(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = f"import os, pathlib, time; pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid())); time.sleep(60)"

    def kill() -> None:
        while not (pid_file.exists() and pid_file.read_text()):
            time.sleep(0.01)
        os.kill(int(pid_file.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(VoiceUnavailable) as caught:
        Espeak(command=(sys.executable, "-c", code)).synthesise("好", "zh-CN", 1.0)
    killer.join()
    assert caught.value.code == "voice-crashed"


def test_sound_cut_short_by_a_crash_is_not_taken_for_the_words() -> None:
    code = "print('{\"rate\": 22050, \"bytes\": 1000}'); print('half')"
    with pytest.raises(VoiceUnavailable) as caught:
        Espeak(command=(sys.executable, "-c", code)).synthesise("好", "zh-CN", 1.0)
    assert caught.value.code == "voice-crashed"


def test_a_voice_process_that_hangs_is_ended() -> None:
    sleeper = (sys.executable, "-c", "import time; time.sleep(60)")
    with pytest.raises(VoiceUnavailable) as caught:
        Espeak(command=sleeper, timeout=0.3).synthesise("好", "zh-CN", 1.0)
    assert caught.value.code == "voice-timeout"


def test_without_loader_package_and_program_espeak_says_what_to_install() -> None:
    with pytest.raises(VoiceUnavailable, match="espeakng-loader"):
        Espeak(command=()).synthesise("好", "zh-CN", 1.0)


def test_without_the_loader_package_the_espeak_program_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "espeak-ng"
    wav = as_wav(tone(3.0))
    (tmp_path / "answer").write_bytes(wav[:40] + struct.pack("<I", 0x7FFFF000) + wav[44:])  # a pipe's header: no length
    seen = tmp_path / "seen"
    program.write_text(f'#!/bin/sh\necho "$@" > {seen}\ncat >> {seen}\ncat {tmp_path}/answer\n')
    program.chmod(0o755)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    engine = engine_named("espeak")
    assert engine.synthesise("火 & 水", "zh-CN", 1.0) == tone(3.0)
    assert engine.recipe != Espeak(command=PROCESS).recipe
    options, text = seen.read_text().split("\n", 1)
    assert options == "-v cmn+f3 -s 140 -b 1 -m --stdin --stdout"
    assert '<prosody range="160%">火 &amp; 水</prosody>' in text


def test_an_espeak_program_without_its_data_answers_nothing_and_is_not_believed(tmp_path: Path) -> None:
    program = tmp_path / "espeak-ng"
    program.write_text("#!/bin/sh\nexit 0\n")  # what espeak-ng 1.51 does with a wrong option
    program.chmod(0o755)
    with pytest.raises(VoiceUnavailable):
        Espeak(command=(str(program),)).synthesise("好", "zh-CN", 1.0)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="no espeak-ng program on PATH")
@pytest.mark.parametrize("lang", WORDS)
def test_the_real_espeak_program_speaks_too(lang: str) -> None:
    program = shutil.which("espeak-ng")
    assert program
    check_sound(Espeak(command=(program,)).synthesise(WORDS[lang], lang, 1.0), WORDS[lang], lang)


def test_silence_and_nonsense_are_not_published() -> None:
    for sound, code in (
        (tone(0.01), "voice-silent"),
        (tone(4.0, level=0.001), "voice-silent"),
        (Pcm(b"", 22050), "voice-silent"),
        (tone(1.0), "voice-implausible"),
        (tone(40.0), "voice-implausible"),
    ):
        with pytest.raises(VoiceUnavailable) as caught:
            check_sound(sound, WORDS["zh-CN"], "zh-CN")
        assert caught.value.code == code


def test_a_silent_engine_leaves_nothing_in_the_cache_and_the_next_one_speaks(tmp_path: Path) -> None:
    silent, good = Fake("silent", sound=tone(0.01)), Fake("good")
    assert say(PARTS, [silent, good], tmp_path).engine == "good"
    assert len(list(tmp_path.iterdir())) == len(PARTS)


def test_the_voice_does_not_change_in_the_middle_of_an_announcement(tmp_path: Path) -> None:
    first, second = Fake("first", fails_in=frozenset({"ko"})), Fake("second", sound=tone(5.0))
    said = say(PARTS, [first, second], tmp_path)
    assert said.engine == "second"
    assert said.parts == (tone(5.0), tone(5.0))
    assert second.asked == ["zh-CN", "ko"]


def test_when_no_engine_can_speak_each_says_why(tmp_path: Path) -> None:
    with pytest.raises(VoiceUnavailable) as caught:
        say(PARTS, [Fake("a", fails_in=frozenset({"zh-CN"})), Fake("b", languages=frozenset({"en"}))], tmp_path)
    assert caught.value.code == "voice-none"
    assert "a: no zh-CN today" in caught.value.message
    assert "b: does not speak zh-CN" in caught.value.message


def test_words_are_spoken_once_and_then_read_from_disk(tmp_path: Path) -> None:
    engine = Fake()
    first = say(PARTS, [engine], tmp_path)
    assert say(PARTS, [engine], tmp_path) == first
    assert engine.asked == ["zh-CN", "ko"]
    say(PARTS, [engine], tmp_path, speed=1.1)
    engine.recipe = "2"
    say(PARTS, [engine], tmp_path)
    assert len(engine.asked) == 6


def test_a_damaged_cache_file_is_spoken_again(tmp_path: Path) -> None:
    engine = Fake()
    first = say(PARTS, [engine], tmp_path)
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:-1000])
    assert say(PARTS, [engine], tmp_path) == first
    assert len(engine.asked) == 4


@pytest.mark.parametrize(
    "parts", [[("zh-CN", "拨打119")], [("zh-CN", "산불")], [("ko", "火")], [("en", "")], [("xx", "a")]]
)
def test_words_that_are_not_as_spoken_leaves_them_reach_no_engine(
    tmp_path: Path, parts: Sequence[tuple[str, str]]
) -> None:
    engine = Fake()
    with pytest.raises(TextRefused):
        say(parts, [engine], tmp_path)
    assert engine.asked == []


def test_an_unknown_engine_is_refused() -> None:
    for name in ("siri", "espeak:x", "recording", "recording:", ""):
        with pytest.raises(VoiceUnavailable):
            engine_named(name)


def test_gtts_without_a_network_is_unavailable_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_route(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_route)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VoiceUnavailable) as caught:
        say(PARTS, [Gtts()], tmp_path / "cache")
    assert "gtts: gTTS did not answer" in caught.value.message
    assert [f for f in tmp_path.rglob("*") if f.is_file()] == []


class Answer:
    """What stands in for gtts.gTTS: it writes what it was given."""

    content = b""
    seen: dict[str, object] = {}  # noqa: RUF012

    def __init__(self, text: str, **settings: object) -> None:
        Answer.seen = {"text": text, **settings}

    def write_to_fp(self, out: object) -> None:
        out.write(self.content)  # type: ignore[attr-defined]


def test_gtts_is_always_asked_with_a_timeout_and_its_mp3_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtts.gTTS", Answer)
    Answer.content = as_mp3(tone(4.0, rate=24000))
    pcm = Gtts().synthesise(WORDS["zh-CN"], "zh-CN", 0.5)
    assert abs(pcm.seconds - 4.0) < 0.2
    assert Answer.seen["timeout"] == 10.0
    assert Answer.seen["slow"] is True
    for content in (b"", b"<html>429</html>"):
        Answer.content = content
        with pytest.raises(VoiceUnavailable):
            Gtts().synthesise(WORDS["zh-CN"], "zh-CN", 1.0)


@pytest.mark.parametrize("suffix", [".wav", ".mp3"])
def test_a_recording_is_used_as_it_is(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"mayor{suffix}"
    file.write_bytes(as_wav(tone(7.0, rate=44100)) if suffix == ".wav" else as_mp3(tone(7.0, rate=44100)))
    said = say(PARTS[:1], [engine_named(f"recording:{file}")], tmp_path / "cache")
    assert said.engine == "recording"
    assert abs(said.parts[0].seconds - 7.0) < 0.1
    assert said.parts[0].peak > 15000


def test_a_recording_of_two_languages_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "zh-CN.wav").write_bytes(as_wav(tone(2.0)))
    (tmp_path / "ko.mp3").write_bytes(as_mp3(tone(3.0)))
    engine = Recording(tmp_path)
    said = say(PARTS, [engine], tmp_path)
    assert [round(p.seconds) for p in said.parts] == [2, 3]
    before = engine.recipe
    (tmp_path / "ko.mp3").write_bytes(as_mp3(tone(3.5)))
    assert engine.recipe != before
    with pytest.raises(TextRefused, match=r"holds no en\.wav"):
        say([("en", WORDS["en"])], [engine], tmp_path)
    with pytest.raises(TextRefused, match="one language"):
        say(PARTS, [Recording(tmp_path / "zh-CN.wav")], tmp_path)


def test_a_recording_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mp3").write_text("no sound at all")
    for name in ("text.mp3", "nowhere.wav"):
        with pytest.raises(TextRefused):
            say(PARTS[:1], [Recording(tmp_path / name)], tmp_path)


def test_a_recording_of_an_hour_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    file = tmp_path / "long.wav"
    file.write_bytes(as_wav(Pcm(bytes(2 * 8000 * 3000), 8000)))
    with pytest.raises(TextRefused, match="3000 s"):
        say(PARTS[:1], [Recording(file)], tmp_path)


def test_sound_files_come_back_as_they_went_in() -> None:
    sound = tone(1.0, rate=16000)
    assert decode(as_wav(sound), 16000) == sound
    assert from_wav_stream(as_wav(sound)) == sound
    assert resampled(sound, 16000) is sound
    assert abs(resampled(sound, 22050).seconds - 1.0) < 0.01
    with pytest.raises(AudioError):
        decode(b"", 16000)
    with pytest.raises(AudioError):
        from_wav_stream(b"RIFF")
