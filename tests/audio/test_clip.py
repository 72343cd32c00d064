"""Clips: what devices fetch is well formed, loud enough, made once, and never published when a check fails."""

from __future__ import annotations

import json
import math
import shutil
import struct
import subprocess
import sys
import time
from array import array
from dataclasses import replace
from pathlib import Path

import miniaudio
import pytest

from audio import clip as clip_module
from audio import speech
from audio.clip import Clip, make_clip
from audio.errors import AudioError, ClipError, TextRefused, VoiceUnavailable
from audio.espeak import Espeak
from audio.estimate import (
    AFTER_CHIME,
    AFTER_WORDS,
    BETWEEN_LANGUAGES,
    CHIME,
    clip_seconds,
    estimate_seconds,
)
from audio.files import sha256, write_atomically
from audio.mix import HIGH, LOW, PEAK_DBFS, SPEECH_DBFS, loudness_of, mix
from audio.pcm import Pcm, as_wav, decode
from audio.spoken import spoken

CHINESE = (
    "zh-CN",
    spoken(
        "吉林消防提醒您：2027年3月15日至5月31日为森林防火期，请勿在林区用火。发现火情，请立即拨打119报警。", "zh-CN"
    ),
)
KOREAN = ("ko", spoken("지린성 소방에서 알려드립니다. 산불을 발견하면 즉시 119로 신고하십시오.", "ko"))
ENGLISH = ("en", spoken("The forest fire danger is high. If you see a fire, call 119 at once.", "en"))
BOTH = [CHINESE, KOREAN]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def both(folder: Path) -> Clip:
    """The clip of the story: Chinese, then Korean, chime, twice."""
    return make_clip(BOTH, folder)


def frames(mp3: bytes) -> list[bytes]:
    """The frames of an MPEG-2 Layer III CBR 48 kbit/s 22,050 Hz file; fails where one does not start at its place."""
    found, at = [], 0
    while at < len(mp3):
        head = mp3[at : at + 4]
        assert head[0] == 0xFF
        length = 72 * 48000 // 22050 + (head[2] >> 1 & 1)
        found.append(mp3[at : at + length])
        at += length
    return found


def samples(content: bytes, rate: int) -> array[int]:
    return array("h", decode(content, rate).samples)


def rms(values: array[int]) -> float:
    return 20 * math.log10(max(1e-9, math.sqrt(sum(v * v for v in values) / len(values)) / 32768))


def power_at(values: array[int], hertz: float, rate: int) -> float:
    """Goertzel: how much of one tone is in the samples."""
    turn = 2 * math.cos(2 * math.pi * hertz / rate)
    last = before = 0.0
    for value in values:
        last, before = value + turn * last - before, last
    return last * last + before * before - turn * last * before


def test_the_mp3_is_mono_cbr_48_at_22050_without_tags(folder: Path, both: Clip) -> None:
    content = (folder / both.mp3.path).read_bytes()
    for frame in frames(content):
        first, second, third, fourth = frame[:4]
        assert (first, second & 0xFE) == (0xFF, 0xF2)  # MPEG-2, Layer III
        assert third >> 4 == 6  # 48 kbit/s
        assert third >> 2 & 3 == 0  # 22,050 Hz
        assert fourth >> 6 == 3  # mono
    assert not content.startswith(b"ID3")
    assert content[-128:-125] != b"TAG"
    info = miniaudio.mp3_get_info(content)
    assert (info.nchannels, info.sample_rate) == (1, 22050)


def test_the_wav_is_pcm16_mono_at_16000_with_the_plain_header(folder: Path, both: Clip) -> None:
    content = (folder / both.wav.path).read_bytes()
    assert content[:4] + content[8:16] == b"RIFFWAVEfmt "
    assert struct.unpack_from("<IHHIIHH", content, 16) == (16, 1, 1, 16000, 32000, 2, 16)
    assert struct.unpack_from("<4sI", content, 36) == (b"data", len(content) - 44)


def test_files_are_named_by_their_content_and_described_truly(folder: Path, both: Clip) -> None:
    for file, suffix, kind in ((both.mp3, ".mp3", "audio/mpeg"), (both.wav, ".wav", "audio/wav")):
        content = (folder / file.path).read_bytes()
        assert file.path == sha256(content) + suffix
        assert (file.sha256, file.bytes, file.type) == (sha256(content), len(content), kind)
    assert list(folder.glob("**/.*")) == []  # no part of a file is left behind


def test_a_clip_lasts_as_long_as_it_says(folder: Path, both: Clip) -> None:
    for file in (both.mp3, both.wav):
        assert abs(decode((folder / file.path).read_bytes(), 16000).seconds - both.seconds) < 0.2


def test_a_clip_says_chinese_then_korean_with_the_pauses_of_an_announcement(folder: Path, both: Clip) -> None:
    words = [Espeak().synthesise(text, lang, 1.0).seconds for lang, text in BOTH]
    assert both.seconds == pytest.approx(clip_seconds(words, 2, True), abs=0.01)
    rate = 22050
    sound = samples((folder / both.mp3.path).read_bytes(), rate)

    def level(start: float, end: float) -> float:
        return rms(sound[round(start * rate) : round(end * rate)])

    korean = CHIME + AFTER_CHIME + words[0] + BETWEEN_LANGUAGES
    again = korean + words[1] + AFTER_WORDS
    assert level(0, CHIME) > -20
    assert level(CHIME + 0.15, CHIME + 0.45) < -60
    assert level(CHIME + AFTER_CHIME, korean - BETWEEN_LANGUAGES) > -25
    assert level(korean - BETWEEN_LANGUAGES + 0.1, korean) < -50
    assert level(korean, korean + words[1]) > -25
    assert level(again - AFTER_WORDS + 0.1, again - 0.1) < -50
    assert level(again, again + words[0]) > -25
    assert level(both.seconds - CHIME, both.seconds) > -20


def test_the_speech_in_the_finished_file_is_at_the_target_and_not_above_the_limit(folder: Path, both: Clip) -> None:
    assert both.loudness == pytest.approx(SPEECH_DBFS, abs=0.1)
    words = [Espeak().synthesise(text, lang, 1.0).seconds for lang, text in BOTH]
    sound = decode((folder / both.mp3.path).read_bytes(), 22050)
    start = CHIME + AFTER_CHIME
    for length in words:  # each language alone, so that none is heard less
        piece = sound.samples[round(start * 22050) * 2 : round((start + length) * 22050) * 2]
        assert loudness_of(Pcm(piece, 22050)) == pytest.approx(SPEECH_DBFS, abs=0.7)
        start += length + BETWEEN_LANGUAGES
    assert max(map(abs, samples((folder / both.wav.path).read_bytes(), 16000))) <= 32768 * 10 ** ((PEAK_DBFS + 1) / 20)


def test_the_chime_is_ours_and_not_the_regulated_signal(folder: Path, both: Clip) -> None:
    sound = samples((folder / both.mp3.path).read_bytes(), 22050)
    first, second = sound[2000:26000], sound[29000:53000]
    assert power_at(first, LOW, 22050) > 100 * power_at(first, HIGH, 22050)
    assert power_at(second, HIGH, 22050) > 100 * power_at(second, LOW, 22050)
    for hertz in (853.0, 960.0):
        assert power_at(first, hertz, 22050) < power_at(first, LOW, 22050) / 1000


def test_without_chime_only_words_and_pauses_are_heard(tmp_path: Path) -> None:
    once = make_clip([CHINESE], tmp_path, chime=False, repeat=1)
    twice = make_clip([CHINESE], tmp_path, chime=False, repeat=2)
    with_chime = make_clip([CHINESE], tmp_path, chime=True, repeat=1)
    assert once.seconds == pytest.approx(Espeak().synthesise(CHINESE[1], "zh-CN", 1.0).seconds, abs=0.01)
    assert twice.seconds == pytest.approx(2 * once.seconds + AFTER_WORDS, abs=0.01)
    assert with_chime.seconds == pytest.approx(once.seconds + 2 * CHIME + AFTER_CHIME + AFTER_WORDS, abs=0.01)


def test_the_same_inputs_give_the_same_files_anywhere(tmp_path: Path, both: Clip) -> None:
    assert make_clip(BOTH, tmp_path) == both


def test_the_same_inputs_are_not_spoken_again(folder: Path, both: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_module, "say", lambda *_: pytest.fail("spoken again"))
    before = (folder / both.mp3.path).stat().st_mtime_ns
    assert make_clip(BOTH, folder) == both
    assert (folder / both.mp3.path).stat().st_mtime_ns == before


def test_words_already_spoken_are_not_spoken_again_for_another_clip(
    folder: Path, both: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Espeak, "synthesise", lambda *_: pytest.fail("spoken again"))
    assert make_clip(BOTH, folder, repeat=1).digest != both.digest
    assert make_clip([KOREAN, CHINESE], folder).mp3 != both.mp3


def test_every_input_has_its_part_in_the_digest(folder: Path, both: Clip, tmp_path: Path) -> None:
    (tmp_path / "zh-CN.wav").write_bytes(as_wav(Espeak().synthesise(CHINESE[1], "zh-CN", 1.0)))
    clips = [
        both,
        make_clip([CHINESE], folder),
        make_clip([KOREAN, CHINESE], folder),
        make_clip(BOTH, folder, repeat=3),
        make_clip(BOTH, folder, chime=False),
        make_clip([CHINESE], folder, engines=[f"recording:{tmp_path}"]),
    ]
    assert len({c.digest for c in clips}) == len(clips)


def test_a_damaged_or_lost_file_is_made_again(tmp_path: Path) -> None:
    first = make_clip([CHINESE], tmp_path)
    (tmp_path / first.mp3.path).write_bytes(b"damaged")
    (tmp_path / first.wav.path).unlink()
    assert make_clip([CHINESE], tmp_path) == first
    assert sha256((tmp_path / first.mp3.path).read_bytes()) == first.mp3.sha256
    assert (tmp_path / first.wav.path).exists()
    (tmp_path / f"{first.digest}.json").write_text("{")
    assert make_clip([CHINESE], tmp_path) == first


def test_a_clip_as_json_is_what_the_index_holds(folder: Path, both: Clip) -> None:
    row = json.loads(json.dumps(both.as_json()))
    assert row == json.loads((folder / f"{both.digest}.json").read_bytes())
    assert set(row) == {"digest", "mp3", "wav", "seconds", "engine", "loudness"}
    assert set(row["mp3"]) == {"sha256", "bytes", "type", "path"}
    assert row["engine"] == "espeak"


def test_all_three_languages_in_one_clip(tmp_path: Path) -> None:
    clip = make_clip([CHINESE, KOREAN, ENGLISH], tmp_path, repeat=1)
    assert clip.seconds == pytest.approx(estimate_seconds([CHINESE, KOREAN, ENGLISH], repeat=1), rel=0.1)


@pytest.mark.parametrize("parts", [[CHINESE], [KOREAN], [ENGLISH], BOTH], ids=["zh", "ko", "en", "both"])
@pytest.mark.parametrize("chime", [True, False])
def test_the_estimate_is_close_to_the_clip(folder: Path, parts: list[tuple[str, str]], chime: bool) -> None:
    clip = make_clip(parts, folder, chime=chime)
    assert estimate_seconds(parts, repeat=2, chime=chime) == pytest.approx(clip.seconds, rel=0.15)


def test_a_recording_is_brought_to_the_level_of_speech(tmp_path: Path) -> None:
    said = Espeak().synthesise(CHINESE[1], "zh-CN", 1.0)
    quiet = array("h", (v // 20 for v in array("h", said.samples)))
    (tmp_path / "voice.wav").write_bytes(as_wav(Pcm(quiet.tobytes(), said.rate)))
    clip = make_clip([CHINESE], tmp_path / "clips", engines=[f"recording:{tmp_path / 'voice.wav'}"])
    assert clip.engine == "recording"
    assert clip.loudness == pytest.approx(SPEECH_DBFS, abs=0.2)


def published(folder: Path) -> list[Path]:
    return [f for pattern in ("*.mp3", "*.wav", "*.json") for f in folder.glob(pattern)]


def test_a_silent_recording_is_never_published(tmp_path: Path) -> None:
    (tmp_path / "silence.wav").write_bytes(as_wav(Pcm(bytes(2 * 22050 * 5), 22050)))
    clips = tmp_path / "clips"
    with pytest.raises(ClipError) as caught:
        make_clip([CHINESE], clips, engines=[f"recording:{tmp_path / 'silence.wav'}"])
    assert caught.value.code == "clip-silent"
    assert published(clips) == []


def test_silence_from_an_engine_is_never_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Espeak, "synthesise", lambda *_: Pcm(bytes(2 * 22050 * 20), 22050))
    with pytest.raises(VoiceUnavailable):
        make_clip([CHINESE], tmp_path)
    assert published(tmp_path) == []


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (lambda _: b"", "clip-unreadable"),
        (lambda _: b"no sound", "clip-unreadable"),
        (lambda mp3: mp3[: len(mp3) // 2], "clip-length"),
    ],
)
def test_a_file_that_does_not_play_is_never_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: object, code: str
) -> None:
    from audio import mp3

    right = mp3.as_mp3
    monkeypatch.setattr(mp3, "as_mp3", lambda pcm: broken(right(pcm)))  # type: ignore[operator]
    with pytest.raises(ClipError) as caught:
        make_clip([CHINESE], tmp_path)
    assert caught.value.code == code
    assert published(tmp_path) == []


@pytest.mark.parametrize(("gain", "code"), [(0.0, "clip-silent"), (0.5, "clip-loudness")])
def test_a_file_that_came_out_too_quiet_is_never_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gain: float, code: str
) -> None:
    from audio import mix as mix_module

    def quieter(*args: object, **settings: object) -> object:
        made = mix(*args, **settings)  # type: ignore[arg-type]
        values = array("h", (round(v * gain) for v in array("h", made.pcm.samples)))
        return replace(made, pcm=Pcm(values.tobytes(), made.pcm.rate))

    monkeypatch.setattr(mix_module, "mix", quieter)
    with pytest.raises(ClipError) as caught:
        make_clip([CHINESE], tmp_path)
    assert caught.value.code == code
    assert published(tmp_path) == []


def test_a_file_larger_than_old_speakers_take_is_never_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_module, "MAX_MP3_BYTES", 10_000)
    with pytest.raises(ClipError) as caught:
        make_clip([CHINESE], tmp_path)
    assert caught.value.code == "clip-too-large"
    assert published(tmp_path) == []


def test_a_text_that_cannot_fit_is_refused_before_it_is_spoken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "engine_named", lambda _: pytest.fail("an engine was asked"))
    with pytest.raises(ClipError) as caught:
        make_clip([("zh-CN", "火" * 5000)], tmp_path)
    assert caught.value.code == "clip-too-long"


@pytest.mark.parametrize(
    ("parts", "repeat", "code"), [([], 2, "clip-empty"), ([CHINESE], 0, "clip-repeat"), ([CHINESE], 9, "clip-repeat")]
)
def test_an_order_that_makes_no_sense_is_refused(
    tmp_path: Path, parts: list[tuple[str, str]], repeat: int, code: str
) -> None:
    with pytest.raises(ClipError) as caught:
        make_clip(parts, tmp_path, repeat=repeat)
    assert caught.value.code == code


def test_written_text_must_become_words_first(tmp_path: Path) -> None:
    for parts in ([("zh-CN", "拨打119")], [CHINESE, ("ko", "")], [("xx", "a")]):
        with pytest.raises(TextRefused):
            make_clip(parts, tmp_path)


def test_every_refusal_of_the_room_has_a_code_and_one_base() -> None:
    for kind in (ClipError, TextRefused, VoiceUnavailable):
        error = kind("a-code", "Words.")
        assert isinstance(error, AudioError)
        assert (error.code, error.message, str(error)) == ("a-code", "Words.", "Words.")


def test_a_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    write_atomically(tmp_path / "a", b"old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(tmp_path / "a", b"new")
    assert [f.read_bytes() for f in tmp_path.iterdir()] == [b"old"]


def test_importing_the_room_warns_of_nothing_and_loads_no_engine_before_it_is_named() -> None:
    code = "import audio.clip, audio.mix, sys; print([m for m in ('gtts', 'requests', 'espeakng_loader') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_audio_of_one_campaign_in_two_languages_takes_at_most_three_seconds(tmp_path: Path) -> None:
    started = time.monotonic()
    clip = make_clip(BOTH, tmp_path)
    assert time.monotonic() - started <= 3.0
    assert clip.seconds > 60


@pytest.mark.skipif(shutil.which("mpg123") is None, reason="no mpg123 program on PATH")
def test_a_player_that_is_not_ours_plays_the_whole_file(folder: Path, both: Clip) -> None:
    done = subprocess.run(["mpg123", "-t", str(folder / both.mp3.path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "cbr48 22050 mono" in done.stderr
    assert "finished" in done.stderr
    assert "error" not in done.stderr.lower()
