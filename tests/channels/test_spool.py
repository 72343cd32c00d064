"""The spool file: whole lines only, whoever is killed, however many write, and however full the disk is."""

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import channels.spool
from channels.base import Answer, AnswerWord, ChannelError, ChannelSettings, Message
from channels.spool import Spool

ROOT = Path(__file__).resolve().parents[2]
Messages = Callable[..., list[Message]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "messages.jsonl"


@pytest.fixture
def spool(file: Path) -> Spool:
    return Spool(ChannelSettings(spool=str(file)))


def lines(file: Path) -> list[dict[str, object]]:
    data = file.read_bytes()
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.decode().splitlines()]


def words(answers: list[Answer]) -> list[str]:
    return [answer.word.value for answer in answers]


def test_a_message_is_one_line_with_the_fixed_keys(spool: Spool, file: Path, messages: Messages) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    sent = messages(2, parts=3)
    assert words(spool.send(sent)) == ["accepted", "accepted"]
    for line, message in zip(lines(file), sent, strict=True):
        assert list(line) == ["delivery", "to", "text", "parts", "at"]
        assert (line["delivery"], line["to"], line["text"], line["parts"]) == (
            message.delivery,
            message.to,
            message.text,
            3,
        )
        at = str(line["at"])
        assert at.endswith("+00:00")
        assert len(at) == len("2026-11-24T11:09:00.000+00:00")
        assert before <= datetime.fromisoformat(at) <= datetime.now(UTC)


@given(st.text(), st.text(st.characters(exclude_categories=())))
def test_every_text_is_read_back_as_it_was(to: str, text: str) -> None:
    message = Message("1-1-a", to, text, 1, 0, "live", "notice")
    data = channels.spool._encoded([message, message])
    first, second = data.decode().splitlines()
    assert json.loads(first) == json.loads(second)
    assert (json.loads(first)["to"], json.loads(first)["text"]) == (to, text)


def test_the_file_and_its_folder_are_the_owners_alone(spool: Spool, file: Path, messages: Messages) -> None:
    spool.send(messages())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_file_that_others_may_read_is_closed_to_them(spool: Spool, file: Path, messages: Messages) -> None:
    file.parent.mkdir()
    file.touch(0o644)
    spool.send(messages())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_nothing_to_send_makes_no_file(spool: Spool, file: Path) -> None:
    assert spool.send([]) == []
    assert not file.exists()


def test_a_spool_without_a_path_cannot_be_built() -> None:
    with pytest.raises(ChannelError, match="path"):
        Spool(ChannelSettings())


@pytest.mark.parametrize("half", ['{"delivery":"1-1', '{"a":' + "9" * 200_000])
def test_half_a_line_of_a_killed_writer_is_cut(spool: Spool, file: Path, messages: Messages, half: str) -> None:
    spool.send(messages(1))
    with file.open("a") as torn:
        torn.write(half)
    spool.send(messages(2))
    assert [line["delivery"] for line in lines(file)] == ["7-1-AbCdEfGhIjKl", "7-1-AbCdEfGhIjKl", "7-2-AbCdEfGhIjKl"]


def test_a_file_that_is_half_a_line_is_emptied(spool: Spool, file: Path, messages: Messages) -> None:
    file.parent.mkdir()
    file.write_text('{"delivery":"1-1')
    spool.send(messages(1))
    assert len(lines(file)) == 1


def test_a_deleted_file_is_made_again(spool: Spool, file: Path, messages: Messages) -> None:
    spool.send(messages(1))
    file.unlink()
    spool.send(messages(2))
    assert len(lines(file)) == 2


def test_a_closed_spool_opens_again(spool: Spool, file: Path, messages: Messages) -> None:
    spool.send(messages(1))
    spool.close()
    spool.close()
    spool.send(messages(1))
    assert len(lines(file)) == 2


def test_a_window_leaves_in_one_write(
    spool: Spool, file: Path, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda to, data: written.append(len(data)) or write(to, data))
    spool.send(messages(500))
    assert written == [file.stat().st_size]


def test_threads_that_share_a_spool_do_not_mix_their_lines(spool: Spool, file: Path, messages: Messages) -> None:
    threads = [threading.Thread(target=lambda: [spool.send(messages(7)) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines(file)) == 4 * 20 * 7


WRITER = """
import sys
from channels.base import ChannelSettings, Message
from channels.spool import Spool
name, path, windows, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
spool = Spool(ChannelSettings(spool=path))
for w in range(windows):
    window = [Message(f"{name}-{w}-{n}", "tel:+8613800000000", "火" * 200, 3, 0, "live", "notice") for n in range(size)]
    words = {answer.word.value for answer in spool.send(window)}
    print(w, *words, flush=True)
"""


def writer(name: str, file: Path, windows: int, size: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, name, str(file), str(windows), str(size)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_several_processes_append_to_one_file(file: Path) -> None:
    started = [writer(name, file, 40, 50) for name in "abc"]
    for process in started:
        process.communicate(timeout=60)
    assert [process.returncode for process in started] == [0, 0, 0]
    names = [str(line["delivery"]) for line in lines(file)]
    assert len(names) == len(set(names)) == 3 * 40 * 50
    # A window is in one piece: its lines follow one another.
    assert all(names[at].rsplit("-", 1)[0] == names[at + 49].rsplit("-", 1)[0] for at in range(0, len(names), 50))


def test_a_kill_loses_no_line_that_was_accepted_and_leaves_no_half_one(file: Path, messages: Messages) -> None:
    for at in range(5):
        process = writer(f"k{at}", file, 100_000, 200)
        assert process.stdout
        assert process.stdout.readline()
        time.sleep(0.03)
        process.send_signal(signal.SIGKILL)
        accepted = 1 + process.communicate(timeout=10)[0].count("\n")
        Spool(ChannelSettings(spool=str(file))).send(messages(1))
        mine = [str(line["delivery"]) for line in lines(file) if str(line["delivery"]).startswith(f"k{at}-")]
        assert accepted * 200 <= len(mine) <= (accepted + 1) * 200
        assert len(mine) == len(set(mine))


def test_a_fork_does_not_share_the_lock_of_its_parent(spool: Spool, file: Path, messages: Messages) -> None:
    spool.send(messages(1))
    before = spool._file
    child = os.fork()
    if child == 0:
        spool.send(messages(2))
        os._exit(0 if spool._file and spool._file[0] == os.getpid() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert spool._file == before
    assert len(lines(file)) == 3


@pytest.fixture
def full_at() -> Iterator[Callable[[int], None]]:
    """Limits the size of files that this process may write: the nearest thing to a full disk without a mount."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_stops_the_channel(spool: Spool, file: Path, messages: Messages, full_at) -> None:
    spool.send(messages(1))
    size = file.stat().st_size
    full_at(size)
    answers = spool.send(messages(3))
    full_at(resource.RLIM_INFINITY)
    assert words(answers) == ["config_error"] * 3
    assert answers[0].reason == "spool-not-written"
    assert file.stat().st_size == size


def test_a_disk_that_fills_up_in_a_window_keeps_its_whole_lines_only(
    spool: Spool, file: Path, messages: Messages, full_at
) -> None:
    spool.send(messages(1))
    size = file.stat().st_size
    full_at(size * 3 + size // 2)
    answers = spool.send(messages(5))
    full_at(resource.RLIM_INFINITY)
    assert words(answers) == ["accepted", "accepted", "config_error", "config_error", "config_error"]
    assert answers[-1].reason == "spool-full"
    assert len(lines(file)) == 3
    assert words(spool.send(messages(1))) == ["accepted"]


def test_lines_that_could_not_be_cut_off_again_are_uncertain(
    spool: Spool, file: Path, messages: Messages, full_at, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.send(messages(1))
    size = file.stat().st_size
    full_at(size * 2 + size // 2)

    def refused(to: int, length: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "ftruncate", refused)
        answers = spool.send(messages(3))
    full_at(resource.RLIM_INFINITY)
    assert words(answers) == ["accepted", "uncertain", "uncertain"]
    assert answers[-1].detail == "EIO: Input/output error"


def test_a_sync_that_fails_leaves_the_window_uncertain(
    spool: Spool, file: Path, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(to: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(channels.spool, "_sync", refused)
    answers = spool.send(messages(2))
    assert words(answers) == ["uncertain"] * 2
    assert answers[0].reason == "spool-not-synced"


def test_a_folder_that_cannot_be_made_stops_the_channel(tmp_path: Path, messages: Messages) -> None:
    (tmp_path / "a").write_text("a file where a folder should be")
    answers = Spool(ChannelSettings(spool=str(tmp_path / "a" / "b.jsonl"))).send(messages(2))
    assert words(answers) == [AnswerWord.CONFIG_ERROR] * 2
    assert "ENOTDIR" in answers[0].detail or "EEXIST" in answers[0].detail
