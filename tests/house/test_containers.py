"""Dockerfile and docker-compose.yml, read without a container engine: valid by the published schema, and as safe as they say."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from broadcaster import __version__
from broadcaster.cli.run import ALSO
from broadcaster.deliver.runner import GROUPS
from broadcaster.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILES = sorted(ROOT.glob("docker-compose*.yml"))
SCHEMA = json.loads((Path(__file__).parent / "vendor" / "compose-spec.json").read_text(encoding="utf-8"))


def compose(file: Path = ROOT / "docker-compose.yml") -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return loaded


def schema_faults(document: dict[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in Draft7Validator(SCHEMA).iter_errors(document)]


def instructions(text: str) -> list[tuple[str, str]]:
    """(FROM, rest) and so on: comments dropped, continued lines joined."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", lines).splitlines()
    return [(line.split()[0].upper(), line.split(maxsplit=1)[1]) for line in joined if line.strip()]


DOCKERFILE = instructions((ROOT / "Dockerfile").read_text(encoding="utf-8"))
SERVICE = compose()["services"]["broadcaster"]


@pytest.mark.parametrize("file", COMPOSE_FILES, ids=lambda file: file.name)
def test_the_compose_file_fits_the_published_schema(file: Path) -> None:
    assert schema_faults(compose(file)) == []


def test_a_compose_file_that_does_not_fit_is_found() -> None:
    wrong = compose()
    wrong["services"]["broadcaster"]["restarts"] = "always"
    wrong["services"]["broadcaster"]["read_only"] = ["yes"]
    assert len(schema_faults(wrong)) == 2


def test_the_service_may_write_to_its_home_only() -> None:
    assert SERVICE["read_only"] is True
    assert SERVICE["cap_drop"] == ["ALL"]
    assert SERVICE["security_opt"] == ["no-new-privileges:true"]
    home = SERVICE["environment"]["BROADCASTER_HOME"]
    volume, target = SERVICE["volumes"][0].split(":")
    assert target == home
    assert volume in compose()["volumes"]
    assert ("VOLUME", home) in DOCKERFILE


def test_the_service_listens_on_this_machine_only_and_is_watched() -> None:
    assert [port.startswith("127.0.0.1:") for port in SERVICE["ports"]] == [True]
    assert "/livez" in SERVICE["healthcheck"]["test"][-1]
    compile(SERVICE["healthcheck"]["test"][-1], "healthcheck", "exec")


def test_every_setting_of_the_service_is_a_setting_of_the_program() -> None:
    names = {f"BROADCASTER_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in SERVICE["environment"] if name.startswith("BROADCASTER_")} <= names


def test_the_image_carries_the_version_of_the_program() -> None:
    assert SERVICE["image"].rpartition(":")[2] == __version__


def test_the_image_installs_pinned_packages_and_does_not_run_as_root() -> None:
    installs = [rest for name, rest in DOCKERFILE if name == "RUN" and "pip install" in rest]
    assert [("--require-hashes" in rest, "-r /tmp/requirements.txt" in rest) for rest in installs] == [(True, True)]
    users = [rest for name, rest in DOCKERFILE if name == "USER"]
    assert users == ["10001"]
    assert "--uid 10001" in " ".join(rest for name, rest in DOCKERFILE if name == "RUN")


def test_what_the_image_copies_is_there_and_is_not_ignored() -> None:
    ignored = [
        line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] not in {"", "#"}
    ]
    sources = [source for sources, _ in copies() for source in sources]
    assert {source for source in sources if not (ROOT / source).exists()} == set()
    assert {source for source in sources if not taken(source, ignored)} == set()
    assert not taken(".venv", ignored)
    assert not taken("tests", ignored)


def test_the_program_runs_from_the_folders_of_the_image(tmp_path: Path) -> None:
    for sources, target in copies():
        for source in sources:
            lay(ROOT / source, tmp_path / target.lstrip("/"), as_folder=target.endswith("/"))
    variables = dict(part.split("=", 1) for name, rest in DOCKERFILE if name == "ENV" for part in shlex.split(rest))
    code = "import broadcaster.compose.templates as t; print(t.__file__); print(len(t.template_sets()))"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{variables['PYTHONPATH']}"},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    file, sets = ended.stdout.split()
    assert Path(file).is_relative_to(tmp_path)
    assert int(sets) == len(list((ROOT / "templates").glob("*/set.toml")))
    assert (tmp_path / "opt/packages/bin/broadcaster").is_file()


def copies() -> list[tuple[list[str], str]]:
    """(sources, target) of what the image takes from the checkout."""
    parts = [shlex.split(rest) for name, rest in DOCKERFILE if name == "COPY" and "--from" not in rest]
    return [(part[:-1], part[-1]) for part in parts]


def lay(source: Path, target: Path, as_folder: bool) -> None:
    """What COPY does: a folder's contents into the target, a file into a target that ends with a slash."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        return
    target = target / source.name if as_folder else target
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def taken(path: str, rules: list[str]) -> bool:
    """Whether .dockerignore lets a path through: the last rule that fits decides."""
    answer = True
    for rule in rules:
        if fnmatch(path, rule.lstrip("!")):
            answer = rule.startswith("!")
    return answer


# At scale

SCALE = compose(ROOT / "docker-compose.scale.yml")
OURS = ("init", "web", "fan-out", "worker")


def setting_names() -> set[str]:
    return {f"BROADCASTER_{name.upper()}{file}" for name in Settings.model_fields for file in ("", "_FILE")}


def parts_of(service: str) -> list[str]:
    words = SCALE["services"][service]["command"]
    return [word for flag, word in pairwise(words) if flag == "--only"]


def test_every_service_of_ours_is_as_safe_as_the_single_one() -> None:
    for name in OURS:
        service = SCALE["services"][name]
        for key in ("read_only", "cap_drop", "security_opt", "image", "volumes", "init", "stop_grace_period"):
            assert service[key] == SERVICE[key], (name, key)
        assert {
            variable for variable in service["environment"] if variable.startswith("BROADCASTER_")
        } <= setting_names()
    assert [port.startswith("127.0.0.1:") for port in SCALE["services"]["web"]["ports"]] == [True]
    assert all("ports" not in service for name, service in SCALE["services"].items() if name != "web")


def test_secrets_come_as_files_only() -> None:
    text = (ROOT / "docker-compose.scale.yml").read_text(encoding="utf-8")
    variables = {v: str(x) for s in SCALE["services"].values() for v, x in s["environment"].items()}
    secret = [v for v in variables if re.search("PASSWORD|DATABASE_URL|TOKEN|SECRET", v)]
    assert set(secret) == {"POSTGRES_PASSWORD_FILE", "BROADCASTER_DATABASE_URL_FILE"}
    assert {variables[v] for v in secret} == {f"/run/secrets/{name}" for name in SCALE["secrets"]}
    assert "environment:" not in str(SCALE["secrets"])
    assert "PASSWORD:" not in text


def test_workers_may_be_scaled_and_all_parts_run_somewhere() -> None:
    worker = SCALE["services"]["worker"]
    fixed = {"container_name", "hostname", "ports"}
    assert not fixed & set(worker), "what is fixed can be there once only"
    assert "--name" not in worker["command"], "a name belongs to one process"
    assert sorted([*parts_of("worker"), *parts_of("fan-out")]) == sorted([*GROUPS, *ALSO])


def test_nothing_of_ours_starts_before_schema_and_topics_are_there() -> None:
    assert set(SCALE["services"]["init"]["depends_on"]) == {"postgres", "kafka"}
    assert {d["condition"] for d in SCALE["services"]["init"]["depends_on"].values()} == {"service_healthy"}
    for name in ("web", "fan-out", "worker"):
        assert SCALE["services"][name]["depends_on"] == {"init": {"condition": "service_completed_successfully"}}
    assert all("healthcheck" in SCALE["services"][name] for name in ("postgres", "kafka", "web"))
    assert SCALE["services"]["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_the_broker_is_the_one_that_the_tests_run_against() -> None:
    pom = (ROOT / "tests" / "broker" / "pom.xml").read_text(encoding="utf-8")
    [version] = re.findall(r"kafka_2.13</artifactId>\s*<version>([\d.]+)<", pom)
    assert SCALE["services"]["kafka"]["image"] == f"apache/kafka:{version}"
    host = SCALE["services"]["web"]["environment"]["BROADCASTER_BUS_URL"].removeprefix("kafka://")
    assert host in SCALE["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
