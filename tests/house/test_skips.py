"""The rule of tests/conftest.py: a skipped test fails a continuous-integration run, and no other."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
RULES = ("conftest.py", "postgresql_server.py")
PASSED = "def test_passes():\n    assert True\n"
SKIPPED = "import pytest\n\ndef test_skips():\n    pytest.skip('no such player')\n"
MODULE_SKIPPED = "import pytest\npytest.importorskip('no_such_module')\n"
EXPECTED_FAILURE = "import pytest\n\n@pytest.mark.xfail(strict=True)\ndef test_is_known_to_fail():\n    assert False\n"
NEEDS_PROGRAM = "def test_plays(program):\n    program('no-such-player')\n"
SEES_SETTINGS = "import os\n\ndef test_sees():\n    assert 'BROADCASTER_PORT' not in os.environ\n"


def run(folder: Path, *options: str, ci: str, **tests: str) -> subprocess.CompletedProcess[str]:
    for file in RULES:
        if not (folder / file).exists():
            shutil.copy(TESTS / file, folder)
    for name, text in {"passes": PASSED, **tests}.items():
        (folder / f"test_{name}.py").write_text(text)
    environment = {**os.environ, "CI": ci, "BROADCASTER_PORT": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--rootdir={folder}",
        *options,
        str(folder),
    ]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "test", [SKIPPED, MODULE_SKIPPED, NEEDS_PROGRAM], ids=["in a test", "of a module", "no program"]
)
def test_a_skip_fails_a_ci_run_and_is_named(tmp_path: Path, test: str) -> None:
    ended = run(tmp_path, ci="true", other=test)
    assert ended.returncode == 1, ended.stdout
    assert "skipped, which fails a run" in ended.stdout
    assert "test_other.py" in ended.stdout


def test_a_machine_without_postgresql_skips_with_what_to_install_and_fails_a_ci_run(tmp_path: Path) -> None:
    server = (TESTS / "postgresql_server.py").read_text(encoding="utf-8")
    without = server.replace('"/usr/lib/postgresql"', '"/nothing"').replace('shutil.which("postgres")', "None")
    assert without.count("/nothing") == 1
    (tmp_path / "postgresql_server.py").write_text(without, encoding="utf-8")
    needs = {"needs": "def test_needs_a_server(on_postgresql):\n    assert on_postgresql\n"}
    ended = run(tmp_path, "-rs", ci="", **needs)
    assert ended.returncode == 0, ended.stdout
    assert "apt-get install postgresql" in ended.stdout
    assert run(tmp_path, ci="true", **needs).returncode == 1


def test_skips_in_several_processes_fail_a_ci_run_too(tmp_path: Path) -> None:
    ended = run(tmp_path, "-n", "2", ci="true", one=SKIPPED, two=MODULE_SKIPPED)
    assert ended.returncode == 1, ended.stdout
    assert ended.stdout.partition("skipped, which fails a run")[2].count("no") >= 2


def test_a_skip_passes_on_a_users_machine_with_its_reason(tmp_path: Path) -> None:
    ended = run(tmp_path, "-rs", ci="", other=SKIPPED)
    assert ended.returncode == 0, ended.stdout
    assert "no such player" in ended.stdout


def test_a_ci_run_without_skips_passes(tmp_path: Path) -> None:
    assert run(tmp_path, ci="true", other=EXPECTED_FAILURE).returncode == 0


def test_settings_of_the_caller_do_not_reach_the_tests(tmp_path: Path) -> None:
    assert run(tmp_path, ci="true", other=SEES_SETTINGS).returncode == 0
