"""Checks of what a hub stands on: its folder, key, disk, clock, process, Redis and public address."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hub.connect.errors import ConnectError
from hub.connect.http import httpx
from hub.connect.links import Links
from hub.connect.manifest import ManifestError
from hub.connect.registry import UnknownConnector
from hub.connect.rootkeys import ENVIRONMENT, VaultError, load_root_keys
from hub.connect.tables import Connection as ConnectionTable
from hub.connect.tables import DataKey
from hub.connect.vault import Vault
from hub.db import redis
from hub.workers.admin import running
from hub.workers.doctor.findings import Finding, Patient, fault, ok, warning

_CONNECTION = ConnectionTable.__table__  # type: ignore[attr-defined]
_KEY = DataKey.__table__  # type: ignore[attr-defined]
#: seconds that clocks may differ: signatures of webhooks and tokens allow for minutes
_DRIFT_S = 5.0
_LOW_BYTES, _FULL_BYTES = 1_000_000_000, 100_000_000
_WAL_BYTES = 256_000_000
#: of the keys of single parties so many are tried
_PERSONAL_KEYS = 200
_TIMEOUT_S = 10.0


def home(patient: Patient) -> Iterator[Finding]:
    """The folder, and who can read it."""
    folder = patient.settings.home
    if not folder.is_dir():
        yield fault(f"there is no folder {folder.absolute()}", "run `hub init`, or set HUB_HOME to where the hub is")
        return
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield fault(
            f"{folder.absolute()} cannot be read and written by this user", "run the hub as the owner of the folder"
        )
        return
    open_to_all = [each for each in (folder, *_private(patient)) if each.exists() and each.stat().st_mode & 0o077]
    if open_to_all:
        names = " ".join(str(each.absolute()) for each in open_to_all)
        yield warning(f"others on this machine can read {names}", f"chmod go= {names}")
    else:
        yield ok(f"{folder.absolute()}, for its owner only")


def _private(patient: Patient) -> list[Path]:
    file = patient.sqlite_file
    return [] if file is None else [file]


def key(patient: Patient) -> Iterator[Finding]:
    """The key is there, for its owner only, and opens the data keys."""
    try:
        patient.roots = load_root_keys(patient.settings.home)
    except VaultError as error:
        yield fault(str(error), "without its key a hub does not start: put the key back from where you keep it")
        return
    place = ENVIRONMENT if os.environ.get(ENVIRONMENT, "").strip() else "secret.key"
    database = patient.readable
    if database is None:
        yield ok(f"{place} holds {len(patient.roots)} keys; whether they open anything shows once the database answers")
        return
    vault = Vault(patient.roots, database.ids)
    tried = older = 0
    with database.read() as connection:
        personal = _KEY.c.purpose == "personal"
        some = sa.select(_KEY.c.id, _KEY.c.merchant_id, _KEY.c.sealed_by)
        for row in [
            *connection.execute(some.where(~personal)),
            *connection.execute(some.where(personal).limit(_PERSONAL_KEYS)),
        ]:
            tried += 1
            older += row.sealed_by != patient.roots[0].id
            try:
                vault.key(connection, row.merchant_id, row.id)
            except VaultError as error:
                yield fault(str(error), "put the key with which the hub was made into secret.key, or after a comma")
                return
    yield ok(f"{place} opens {tried} data keys")
    if older:
        yield warning(
            f"{older} of them are sealed by an older root key: its rotation is not done", "run `hub keys rotate`"
        )


def disk(patient: Patient) -> Iterator[Finding]:
    """Free space where the database is, and the size of SQLite's log of writes."""
    file = patient.sqlite_file
    folder = (file.parent if file is not None else patient.settings.home).absolute()
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    said = f"{usage.free / 1e9:.1f} GB free of {usage.total / 1e9:.1f} at {folder}"
    if usage.free < _FULL_BYTES:
        yield fault(said, "make room at once: with a full disk nothing can be stored, and webhooks are refused")
    elif usage.free < _LOW_BYTES:
        yield warning(said, "make room: a full disk stops the hub")
    else:
        yield ok(said)
    wal = Path(f"{file}-wal") if file is not None else None
    if wal is not None and wal.is_file() and wal.stat().st_size > _WAL_BYTES:
        yield warning(
            f"{wal.name} has {wal.stat().st_size / 1e6:.0f} MB",
            "a read that never ends keeps it from being emptied: see what else has the database open, then start the hub again",
        )


def clock(patient: Patient) -> Iterator[Finding]:
    """This machine's time, against the database server's, and online against the systems that are connected."""
    drifts: dict[str, float] = {}
    if patient.database is not None and not patient.database.sqlite:
        with patient.database.read() as connection:
            before = time.time()
            there = float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
            drifts["the database server"] = there - (before + time.time()) / 2
    if patient.online:
        drifts |= _drift_of_systems(patient)
    off = {name: drift for name, drift in drifts.items() if abs(drift) > _DRIFT_S}
    for name, drift in off.items():
        yield warning(
            f"{name} is {abs(drift):.0f} s {'ahead of' if drift > 0 else 'behind'} this machine",
            "let both follow a time server (timedatectl set-ntp true): signatures and tokens are refused when clocks differ",
        )
    if not off:
        compared = ", ".join(drifts) or (
            "the database is on this machine" if patient.database else "nothing to compare with"
        )
        yield ok(f"within {_DRIFT_S:.0f} s: {compared}")


def _drift_of_systems(patient: Patient) -> dict[str, float]:
    """Seconds that systems are ahead, by the Date header of an answer to a request without credentials."""
    database = patient.readable
    if database is None or not patient.roots:
        return {}
    links = Links(patient.registry, Vault(patient.roots, database.ids), database)
    with database.read() as connection:
        ids = connection.execute(sa.select(_CONNECTION.c.id).where(_CONNECTION.c.status == "connected")).scalars().all()
    found: dict[str, float] = {}
    try:
        for connection_id in ids:
            try:
                link = links.open(connection_id)
                before = time.time()
                answer = httpx.get(link.client.url("/"), timeout=_TIMEOUT_S)
                there = parsedate_to_datetime(answer.headers["date"]).timestamp()
            except (ConnectError, UnknownConnector, ManifestError, VaultError, httpx.HTTPError, KeyError, ValueError):
                continue  # whether it can be reached is for the check of connections
            # the header has whole seconds
            found[link.name] = there + 0.5 - (before + time.time()) / 2
    finally:
        links.close()
    return found


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)  # one of another user is there, and may not be asked
    return False


def process(patient: Patient) -> Iterator[Finding]:
    """Whether a hub runs here, and what one that was killed left behind."""
    folder = patient.settings.home
    said = running.read(folder)
    if not running.is_locked(folder):
        if said is not None:
            yield warning(
                f"process {said.pid} was killed: run/hub.json still names it, its lock is free",
                "`hub up` takes its place",
            )
        else:
            yield ok("no hub runs in this home")
        return
    if said is None:
        yield ok("a command works with this home now")
        return
    if _gone(said.pid):
        yield fault(
            f"the lock is held, and process {said.pid} of the hub is gone: a process that it started is left",
            f"end what holds it: fuser {folder.absolute() / 'run' / 'lock'}",
        )
        return
    try:
        answer = httpx.get(f"{said.url}/healthz", timeout=_TIMEOUT_S, trust_env=False)
    except httpx.HTTPError as error:
        yield fault(
            f"the hub (process {said.pid}) does not answer at {said.url}: {type(error).__name__}",
            "see its log; start it again",
        )
        return
    if answer.status_code == 200:
        yield ok(f"a hub runs at {said.url} (process {said.pid})")
    else:
        yield fault(f"the hub at {said.url} answers {answer.status_code}", "see its log")


def redis_server(patient: Patient) -> Iterator[Finding]:
    """Redis, where one is set."""
    if not patient.settings.redis_url:
        return
    try:
        client = redis.connect(patient.settings.redis_url)
    except ValueError as error:
        yield fault(f"HUB_REDIS_URL cannot be used: {error}", "give redis://host:6379/0, rediss:// or unix://")
        return
    began = time.monotonic()
    try:
        client.ping()
        info: Any = client.info("server")
    except redis.Refused as error:
        yield fault(
            f"Redis does not answer: {error}", "start it, or see HUB_REDIS_URL: until then work waits for the sweeper"
        )
        return
    finally:
        client.close()
    yield ok(f"version {info.get('redis_version')} answers in {(time.monotonic() - began) * 1000:.0f} ms")


def public_address(patient: Patient) -> Iterator[Finding]:
    """Where systems outside reach the hub."""
    url = patient.settings.public_url
    if not url:
        yield warning(
            "HUB_PUBLIC_URL is not set", "set it to the https address that shops reach, for webhooks and OAuth"
        )
        return
    if not url.startswith("https://"):
        yield warning(f"{url} is not https", "shops send webhooks to https only: put a proxy that ends TLS in front")
    if not patient.online:
        yield ok(f"{url}; with --online it is called")
        return
    try:
        answer = httpx.get(f"{url}/healthz", timeout=_TIMEOUT_S)
        said: Any = answer.json() if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError) as error:
        yield fault(
            f"{url}/healthz cannot be reached: {type(error).__name__}: {error}", "see its name, its proxy and its TLS"
        )
        return
    if isinstance(said, dict) and said.get("status") == "ok":
        yield ok(f"{url} leads to a hub")
    else:
        yield fault(
            f"{url}/healthz answers {answer.status_code}, and not as a hub does", "let the proxy lead to HUB_BIND"
        )
