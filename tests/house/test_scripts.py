"""The scripts a newcomer types: they set up once, then start at once, and say what is missing."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [ROOT / ".ci" / "run", *(path for path in sorted((ROOT / "scripts").rglob("*")) if path.is_file())]
# What a bare system has, apart from Python.
BASICS = ("sh", "dirname", "readlink", "id", "mkdir", "cat", "cmp", "cp", "grep", "rm", "tail", "chmod", "env")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout without requirements, in a folder with a space in its name; its program prints its arguments."""
    root = tmp_path / "a checkout"
    shutil.copytree(ROOT / "scripts", root / "scripts")
    (root / "broadcaster" / "cli").mkdir(parents=True)
    (root / "broadcaster" / "cli" / "main.py").write_text(
        "import os, sys\n\ndef main():\n    print(sys.argv[1:], os.environ.get('BROADCASTER_HOME'))\n    return 3\n"
    )
    (root / "requirements.txt").write_text("# none\n")
    return root


def demo(checkout: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(checkout / "scripts" / "demo"), *options],
        env={**os.environ, **environment},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_can_be_typed_and_is_well_formed(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert script.suffix == ".sh" or os.access(script, os.X_OK)
    if script.suffix == ".sh" or text.startswith("#!/bin/sh\n#"):
        assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
    else:
        compile(text, script, "exec")  # the launcher too: sh leaves it at its second line


def test_set_up_happens_once_and_again_after_a_change_or_a_move(checkout: Path) -> None:
    first = demo(checkout, "--once", "two words", BROADCASTER_HOME="")
    assert (first.returncode, first.stdout) == (3, f"['demo', '--once', 'two words'] {checkout}/.demo\n"), first.stderr
    assert "Set-up finished." in first.stderr

    started = time.monotonic()
    second = demo(checkout, BROADCASTER_HOME="/elsewhere", PIP_INDEX_URL="not an address")
    assert time.monotonic() - started < 1
    assert (second.stdout, second.stderr) == ("['demo'] /elsewhere\n", "")

    (checkout / "requirements.txt").write_text("# still none\n")
    assert "Set-up finished." in demo(checkout).stderr

    moved = checkout.rename(checkout.parent / "moved")
    after_move = demo(moved)
    assert "Making .venv" in after_move.stderr
    assert after_move.stdout == f"['demo'] {moved}/.demo\n"


def test_a_package_that_cannot_be_had_ends_with_a_sentence_and_is_tried_again(checkout: Path, tmp_path: Path) -> None:
    digest = 64 * "0"
    (checkout / "requirements.txt").write_text(f"rich==15.0.0 --hash=sha256:{digest}\n")
    for _ in range(2):
        ended = demo(checkout, PIP_NO_INDEX="1")
        assert ended.returncode == 5
        assert "could not be installed. Is the package registry within reach?" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_a_missing_python_ends_with_what_to_type(checkout: Path, tmp_path: Path) -> None:
    basics = tmp_path / "bin"
    basics.mkdir()
    for name in BASICS:
        (basics / name).symlink_to(shutil.which(name) or "")
    ended = demo(checkout, PATH=str(basics))
    assert ended.returncode == 5
    assert ended.stderr.splitlines()[-1].endswith("Type: sudo apt-get install python3 python3-venv")


def test_a_bench_without_a_name_lists_what_there_is() -> None:
    ended = subprocess.run([str(ROOT / "scripts" / "bench")], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert all(file.stem in ended.stderr for file in (ROOT / "benchmarks").glob("*.py"))
