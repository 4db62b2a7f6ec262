"""docker-compose.yml and the Dockerfile, without Docker: the schema of Compose, and what they say of this hub. The script
that makes the application's role is run on a real PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import psycopg
import pytest
import yaml
from postgres_server import PostgresServer

from hub.cli import COMMANDS
from hub.workers.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {"HUB_APP_PASSWORD", "HUB_OWNER_PASSWORD", "HUB_REDIS_PASSWORD", "HUB_SECRET_KEY"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_it_fits_the_schema_of_compose(compose: dict[str, Any]) -> None:
    schema = json.loads((Path(__file__).parent / "compose" / "compose-spec.json").read_text())

    jsonschema.Draft202012Validator(schema).validate(compose)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate({**compose, "services": {"web": {"imagine": "hub"}}})


def test_every_command_and_every_variable_is_one_of_the_hub(compose: dict[str, Any]) -> None:
    known = {f"HUB_{name.upper()}" for name in Settings.model_fields} | {"HUB_SECRET_KEY"}
    ours = {name: each for name, each in compose["services"].items() if each.get("image") == "hub"}

    assert set(ours) == {"web", "worker", "migrate"}
    for each in ours.values():
        assert each["command"][0] in COMMANDS
        assert set(each["environment"]) <= known
    assert ours["worker"]["healthcheck"]["test"][2] in COMMANDS


def test_no_secret_is_written_down_and_none_has_a_default(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()

    used = set(re.findall(r"(?<!\$)\$\{(\w+)[:?-]", text))
    required = set(re.findall(r"(?<!\$)\$\{(\w+):\?", text))
    assert required == {*SECRETS, "HUB_PUBLIC_URL"}
    assert used - required == {"HUB_LOG_LEVEL", "HUB_PORTS", "HUB_THREADS"}
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|URL", name) and value:
                assert "${" in str(value), name
                assert not re.search(r"://\w+:[^$@]+@", str(value)), name


def test_only_the_migration_has_the_role_that_owns_the_tables(compose: dict[str, Any]) -> None:
    services = compose["services"]

    owners = {name for name, each in services.items() if "HUB_OWNER_PASSWORD" in json.dumps(each)}
    assert owners == {"migrate", "postgres"}
    for name in ("web", "worker"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert all(each.get("healthcheck") for name, each in services.items() if name != "migrate")
    assert set(compose["volumes"]) == {"home", "postgres"}
    # the ports are of this machine only: a proxy in front ends TLS
    assert all(port.startswith("127.0.0.1:") for each in services.values() for port in each.get("ports", []))


def test_the_script_makes_a_role_that_can_sign_in_and_owns_nothing(
    compose: dict[str, Any], postgres_server: PostgresServer, tmp_path: Path
) -> None:
    from hub.db import migrate

    postgres_server.execute("CREATE DATABASE composed")
    script = compose["configs"]["app-role"]["content"].replace("$$", "$").replace("hub_app", "hub_composed")
    environment = {
        "PATH": f"{postgres_server.binaries}:{os.environ['PATH']}", "PGHOST": str(postgres_server.folder),
        "POSTGRES_USER": "postgres", "POSTGRES_DB": "composed", "HUB_APP_PASSWORD": "it's $ecret",
    }  # fmt: skip
    try:
        subprocess.run(["sh", "-c", script], env=environment, check=True, capture_output=True, text=True)
        migrate.upgrade(postgres_server.url("composed"))
        migrate.grant(postgres_server.url("composed"), "hub_composed")
        with psycopg.connect(
            dbname="composed", user="hub_composed", password="it's $ecret", host=str(postgres_server.folder)
        ) as connection:
            assert connection.execute("SELECT count(*) FROM merchant").fetchone() == (0,)
            owned = "SELECT count(*) FROM pg_tables WHERE tableowner = 'hub_composed'"
            assert connection.execute(owned).fetchone() == (0,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("TRUNCATE merchant")
    finally:
        postgres_server.execute("DROP DATABASE composed WITH (FORCE)")
        postgres_server.execute("DROP ROLE IF EXISTS hub_composed")


def test_the_image_holds_what_is_there_and_every_package_by_its_hash() -> None:
    text = (ROOT / "Dockerfile").read_text()

    copied = [line.split()[-2] for line in text.splitlines() if line.startswith("COPY") and "--from" not in line]
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == let_in
    assert all((ROOT / each).exists() for each in copied)
    assert "--require-hashes" in text
    packages = re.findall(r"^[\w.-]+(?:\[[\w,]+\])?==", (ROOT / "requirements" / "core.txt").read_text(), re.MULTILINE)
    assert len(packages) > 30
    assert (ROOT / "requirements" / "core.txt").read_text().count("--hash=") >= len(packages)
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE)[-1] == "hub"
    assert text.count('CMD ["up"]') == 1
