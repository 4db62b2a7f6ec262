"""Processes that renew tokens, as `hub worker` does, and nothing else: many from one start.

    python -m renewing_processes DATABASE_URL REDIS_URL HOME COUNT LEASE_S REQUEST_S

prints a line `PID` for each when all are up. They end with its standard input.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from hub.cli import logs
from hub.connect.errors import ConnectError
from hub.connect.leases import Pace
from hub.connect.sealed import TABLE
from hub.workers.hub import Hub
from hub.workers.parts import Part
from hub.workers.settings import Settings


def _work(database: str, redis: str, home: Path, pace: Pace, ready: int) -> None:
    logs.configure("info")
    hub = Hub.open(Settings(home=home, database_url=database, redis_url=redis), parts=[Part.TOKENS])
    hub.links.renewals.pace = pace
    hub.start()
    with hub.database.read() as connection:
        ids = list(connection.execute(sa.select(TABLE.c.id).order_by(TABLE.c.id)).scalars())
    os.write(ready, b"1")
    while True:
        for connection_id in ids:
            # a request of the hub's own meets a token that ended: whoever comes first asks
            link = hub.links.open(connection_id)
            if link.ended:
                with suppress(ConnectError):  # the rows say so, and the test reads them
                    link.renew(link.secrets["access_token"])
        time.sleep(0.2)


def main() -> None:
    database, redis, home, count, lease_s, request_s = sys.argv[1:]
    read, ready = os.pipe()
    children = []
    for _ in range(int(count)):
        child = os.fork()
        if child == 0:
            _work(database, redis, Path(home), Pace(float(lease_s), float(request_s)), ready)
        children.append(child)
    for _ in children:
        os.read(read, 1)
    for child in children:
        print(child, flush=True)
    sys.stdin.read()
    for child in children:
        os.kill(child, signal.SIGKILL)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
