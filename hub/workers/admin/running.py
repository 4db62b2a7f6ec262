"""The running hub of a folder: a lock that only one process holds, and a file that says where it answers."""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub.workers.admin.errors import AdminError


class AlreadyRunning(AdminError):
    """Another process works with this hub."""


@dataclass(frozen=True)
class Running:
    """Where a running hub answers."""

    url: str
    token: str = field(repr=False)
    pid: int


class RunLock:
    """`HUB_HOME/run/lock`, held until it is released or the process ends, however it ends.

    It makes one process the only one that works with a hub on SQLite: its writers share a lock of the process. On PostgreSQL
    (`many`) the database's own locks and leases keep processes apart, and nothing is taken: `take` always succeeds."""

    def __init__(self, home: Path, *, many: bool = False) -> None:
        self._folder = home / "run"
        self._many = many
        self._handle: int | None = None

    def take(self, wait_s: float = 0) -> None:
        """Takes the lock, and removes the address of a hub that was killed. Raises: AlreadyRunning when another process
        holds it still after `wait_s` seconds; at once when that is a hub, which does not end by itself."""
        if self._many:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= until or read(self._folder.parent) is not None:
                    os.close(handle)
                    raise AlreadyRunning(self._told()) from None
                time.sleep(0.05)
        self._handle = handle
        withdraw(self._folder.parent)

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _told(self) -> str:
        place = self._folder.parent.resolve()
        running = read(self._folder.parent)
        if running is None:
            return f"another process works with the hub in {place}: wait until it is done"
        return f"the hub in {place} is running already at {running.url} (process {running.pid}): stop it first"


def is_locked(home: Path) -> bool:
    """Whether a process holds the lock of a home. Changes nothing: what a killed hub left stays as it is."""
    try:
        handle = os.open(home / "run" / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def announce(home: Path, running: Running) -> None:
    """Writes `run/hub.json`, readable by its owner only."""
    folder = home / "run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = folder / f"hub.json.{os.getpid()}"
    handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump({"url": running.url, "token": running.token, "pid": running.pid}, out)
    os.replace(made, folder / "hub.json")


def withdraw(home: Path, pid: int | None = None) -> None:
    """Removes `run/hub.json`; with a `pid` only if it is that process's."""
    there = read(home) if pid is not None else None
    if there is None or there.pid == pid:
        (home / "run" / "hub.json").unlink(missing_ok=True)


def read(home: Path) -> Running | None:
    """What `run/hub.json` says; None when there is none. The hub may be gone: see `is_locked`."""
    try:
        found: Any = json.loads((home / "run" / "hub.json").read_text("utf-8"))
        return Running(str(found["url"]), str(found["token"]), int(found["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
