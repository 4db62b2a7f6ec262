"""A fast HTTP server on loopback that takes every POST and answers 201: `python -m tests.benchmarks.sink`.

Prints its port, then answers `GET /count` with how many POSTs came, and ends when its standard input ends.
"""

from __future__ import annotations

import asyncio
import sys


class Sink(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as little of it as a benchmark needs."""

    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            head, mark, rest = self.buffer.partition(b"\r\n\r\n")
            if not mark:
                return
            low = head.lower()
            length = 0
            if b"content-length:" in low:
                length = int(low.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            if head.startswith(b"POST"):
                Sink.count += 1
                body = b'{"id":%d}' % Sink.count
                status = b"201 Created"
            else:
                body, status = b"%d" % Sink.count, b"200 OK"
            self.transport.write(  # type: ignore[attr-defined]
                b"HTTP/1.1 "
                + status
                + b"\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
                + body
            )


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
