"""docker-compose.yml and Dockerfile are valid, and keep our rules: no Docker engine runs where this is tested."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import click
import pytest
from services.compose import ROOT, Compose, dockerfile_lines, dockerfile_sources, dockerfile_words

from harvester.settings import Settings
from web.cli import lumbung

VALUES = {
    "LUMBUNG_BASE_URL": "https://library.example",
    "LUMBUNG_ADMIN_EMAIL": "library@library.example",
    "LUMBUNG_SECRET_KEY": "key-of-the-site",
    "POSTGRES_PASSWORD": "key-of-postgres",
    "S3_SECRET_KEY": "key-of-s3",
    "ELASTIC_PASSWORD": "key-of-elastic",
}
COMPOSE = Compose(VALUES)
SERVICES = list(COMPOSE.services)
LASTING = [name for name in SERVICES if "restart" in COMPOSE.services[name]]
OURS = [name for name in SERVICES if COMPOSE.is_ours(name)]
VERSION = re.compile(r"[\w./-]+(:v?\d+\.\d+[\w.-]*|@sha256:[0-9a-f]{64})")
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|API_KEY|//[^/]*:[^/]*@")


def test_the_schema_of_compose_files_holds() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*command, ROOT / "docker-compose.yml"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout


def test_all_parts_of_a_network_on_servers_are_there() -> None:
    assert set(SERVICES) == {"serve", "work", "proxy", "postgres", "elasticsearch", "s3", "bucket", "owners"}
    assert set(SERVICES) - set(LASTING) == {"bucket", "owners"}  # which do one thing and end
    assert OURS == ["serve", "work"]


@pytest.mark.parametrize("name", LASTING)
def test_what_lasts_has_a_health_check_and_ends_of_its_logs(name: str) -> None:
    assert COMPOSE.check(name)
    assert COMPOSE.services[name]["restart"] == "unless-stopped"
    assert COMPOSE.services[name]["logging"]["options"].keys() == {"max-size", "max-file"}


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_of_one_version(name: str) -> None:
    assert VERSION.fullmatch(COMPOSE.services[name]["image"])


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "owners"])  # gives volumes away, and ends
def test_nothing_runs_as_root(name: str) -> None:
    assert re.fullmatch(r"[1-9]\d*:\d+", COMPOSE.services[name]["user"])


def test_no_secret_stands_in_the_file() -> None:
    for name, service in COMPOSE.raw.items():
        for variable, value in service.get("environment", {}).items():
            if SECRET.search(f"{variable} {value}"):
                assert re.search(r"\$\{\w+:\?", value), f"{name}: {variable} must be given"
    with pytest.raises(AssertionError, match="POSTGRES_PASSWORD"):
        Compose({name: value for name, value in VALUES.items() if name != "POSTGRES_PASSWORD"})


def test_volumes_are_named_and_those_that_another_user_writes_are_given_to_that_user() -> None:
    mounts = [mount.split(":")[:2] for service in COMPOSE.services.values() for mount in service.get("volumes", ())]
    assert {volume for volume, _ in mounts} == set(COMPOSE.volumes)
    given = {mount.split(":")[0] for mount in COMPOSE.services["owners"]["volumes"]}
    for name in LASTING:
        service = COMPOSE.services[name]
        if given & {mount.split(":")[0] for mount in service.get("volumes", ())}:
            assert service["user"] == COMPOSE.command("owners")[1]
            assert service["depends_on"]["owners"] == {"condition": "service_completed_successfully"}


def test_only_the_proxy_is_open_and_workers_may_be_many() -> None:
    assert [name for name in SERVICES if "ports" in COMPOSE.services[name]] == ["proxy"]
    assert "reverse_proxy serve:8080" in COMPOSE.configs["proxy"]["content"]
    assert not {"container_name", "hostname"} & COMPOSE.services["work"].keys()


@pytest.mark.parametrize("name", OURS)
def test_our_services_wait_for_the_servers_and_have_settings_that_exist(name: str) -> None:
    service = COMPOSE.services[name]
    healthy = {other for other, wish in service["depends_on"].items() if wish["condition"] == "service_healthy"}
    assert healthy == {"postgres", "elasticsearch"}
    assert service["depends_on"]["bucket"] == {"condition": "service_completed_successfully"}
    settings = {word for word in service["environment"] if word.startswith("LUMBUNG_")}
    assert not settings - {f"LUMBUNG_{word.upper()}" for word in Settings.model_fields}
    hosts = re.findall(r"(?:@|//)([a-z0-9]+):\d+", " ".join(service["environment"].values()))
    assert set(hosts) == {"postgres", "s3", "elasticsearch"}


def test_the_settings_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in COMPOSE.services["serve"]["environment"].items():
        monkeypatch.setenv(variable, value)
    assert Settings().catalogue_url == "postgresql://lumbung:key-of-postgres@postgres:5432/lumbung"


def _commands() -> list[list[str]]:
    own = [[*dockerfile_words("ENTRYPOINT"), *dockerfile_words("CMD")]]
    return own + [words for name in OURS for words in (COMPOSE.command(name), COMPOSE.check(name)) if words]


@pytest.mark.parametrize("words", [words for words in _commands() if words[0] == "lumbung"], ids=" ".join)
def test_commands_are_real_ones_with_real_options(words: list[str]) -> None:
    context = lumbung.make_context("lumbung", words[1:])
    command = lumbung.get_command(context, words[1])
    assert command is not None
    assert isinstance(command, click.Command)
    command.make_context(words[1], words[2:], parent=context)


def test_the_keys_of_the_archive_are_its_servers() -> None:
    [identity] = json.loads(COMPOSE.configs["s3"]["content"])["identities"]
    ours = COMPOSE.services["serve"]["environment"]
    key = {"accessKey": ours["AWS_ACCESS_KEY_ID"], "secretKey": ours["AWS_SECRET_ACCESS_KEY"]}
    assert identity["credentials"] == [key]
    assert ours["LUMBUNG_ARCHIVE"].startswith("s3://lumbung/")
    assert "s3.bucket.create -name lumbung" in COMPOSE.command("bucket")[-1]


def test_the_image_is_pinned_runs_as_nobody_special_and_can_write_its_home() -> None:
    for base in dockerfile_lines("FROM"):
        assert VERSION.fullmatch(base.split()[0])
    assert dockerfile_lines("USER") == ["lumbung"]
    made = " ".join(dockerfile_lines("RUN"))
    assert "useradd --uid 10001" in made
    for name in OURS:
        assert COMPOSE.services[name]["user"] == "10001:10001"
        for mount in COMPOSE.services[name]["volumes"]:
            assert re.search(rf"install -d -o lumbung .*{mount.split(':')[1]}(\s|$)", made)
    assert "--require-hashes -r requirements.lock" in made
    assert dockerfile_words("HEALTHCHECK")


def test_the_image_has_what_it_copies_and_nothing_else_is_sent_to_its_builder() -> None:
    ignored, *sent = (ROOT / ".dockerignore").read_text().split()
    assert ignored == "*"
    assert {f"!{source.removeprefix('./')}" for source in dockerfile_sources()} == {
        line for line in sent if line[0] == "!"
    }
    assert all((ROOT / source).exists() for source in dockerfile_sources())
