"""A load generator for webhooks: raw sockets with keep-alive, so that it costs little beside what it measures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.benchmarks.hub_home import headers


@dataclass
class Answers:
    """What came back: seconds per answer, how many were not 2xx, and seconds from the first request to the last answer."""

    seconds: list[float]
    refused: int
    wall: float = 0.0

    def percentile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def requests(url: str, bodies: Sequence[bytes], first: int) -> list[bytes]:
    """The requests, ready to be written."""
    parts = urlsplit(url)
    made = []
    for number, body in enumerate(bodies, first):
        lines = [f"POST {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in headers(body, number).items()]
        lines.append(f"Content-Length: {len(body)}")
        made.append("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    return made


def send(url: str, made: Sequence[bytes], *, connections: int = 8, per_second: float | None = None) -> Answers:
    """Sends all requests: as fast as `connections` take them, or at a steady rate."""
    return asyncio.run(_send(url, made, connections, per_second))


async def _send(url: str, made: Sequence[bytes], connections: int, per_second: float | None) -> Answers:
    parts = urlsplit(url)
    answers = Answers([], 0)
    queue = iter(enumerate(made))
    began = time.perf_counter()

    async def work() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for number, request in queue:
            due = began
            if per_second is not None:
                due = began + number / per_second
                wait = due - time.perf_counter()
                if wait > 0:
                    await asyncio.sleep(wait)
            sent = time.perf_counter() if per_second is None else max(due, began)
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            low = head.lower()
            if b"content-length:" in low:
                length = int(low.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
                if length:
                    await reader.readexactly(length)
            # at a steady rate the time a request waited for its turn counts, too
            answers.seconds.append(time.perf_counter() - sent)
            answers.refused += not head.startswith(b"HTTP/1.1 2")
        writer.close()

    await asyncio.gather(*(work() for _ in range(connections)))
    answers.wall = time.perf_counter() - began
    return answers
