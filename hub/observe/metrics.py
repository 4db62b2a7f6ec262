"""The measures of a process, in a registry of their own. `docs/operations.md` says what each is for.

Labels are names that people wrote down (flows, connectors, operations) or words of ours: never an id of an order, a key or an
address, so that there are as many series as there are such names. Parts that work in groups count in groups: an order costs
some microseconds.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()

_SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LONG = (0.1, 0.5, 1, 2, 5, 15, 60, 300, 900, 3_600, 21_600, 86_400)

WEBHOOK_SECONDS = Histogram(
    "hub_webhook_answer_seconds",
    "From the first byte of a webhook to its answer",
    ["status"],
    buckets=_SHORT,
    registry=REGISTRY,
)
WRITE_WAIT_SECONDS = Histogram(
    "hub_write_wait_seconds",
    "Wait for the right to write: SQLite's one writer, or the book on PostgreSQL",
    ["writer"],
    buckets=_SHORT,
    registry=REGISTRY,
)
BATCH_SECONDS = Histogram(
    "hub_batch_seconds", "Time of a batch from its claim to its commit", buckets=_SHORT, registry=REGISTRY
)
BATCH_EVENTS = Histogram(
    "hub_batch_events", "Events of a batch", buckets=(1, 2, 5, 10, 20, 30, 40, 50), registry=REGISTRY
)
EVENTS = Counter("hub_events", "Events worked, by what came of them", ["state"], registry=REGISTRY)
RUNS = Counter("hub_runs", "Runs of flows, by what came of them", ["flow", "outcome"], registry=REGISTRY)
ATTEMPTS = Counter(
    "hub_delivery_attempts",
    "Attempts to send, by what came of them",
    ["connector", "operation", "outcome"],
    registry=REGISTRY,
)
DELIVERY_SECONDS = Histogram(
    "hub_delivery_seconds", "From planned to confirmed", ["connector"], buckets=_LONG, registry=REGISTRY
)
ERRORS = Counter("hub_errors", "Failures of a part of the hub, by class", ["part", "error"], registry=REGISTRY)
LIMIT_WAITS = Counter(
    "hub_limit_waits", "Waits for a system's rate limit: before a request, or asked for by its answer",
    ["connector", "asked"], registry=REGISTRY,
)  # fmt: skip
LIMIT_WAIT_SECONDS = Counter("hub_limit_wait_seconds", "Time of these waits", ["connector", "asked"], registry=REGISTRY)
ALERTS = Counter("hub_alerts", "Alerts raised, by rule", ["rule"], registry=REGISTRY)


def count(counter: Counter, labels: Iterable[tuple[str, ...]]) -> None:
    """Counts many at once: one step a series, however many there are."""
    for values, number in Tally(labels).items():
        counter.labels(*values).inc(number)


def failed(part: str, error: BaseException) -> None:
    """Counts a failure by the class of its error."""
    ERRORS.labels(part, type(error).__name__).inc()


def limited(connector: str, seconds: float, *, asked: bool) -> None:
    """Counts a wait for a rate limit. `asked`: the system asked for it in an answer, else we waited by ourselves."""
    labels = (connector, "answer" if asked else "before")
    LIMIT_WAITS.labels(*labels).inc()
    LIMIT_WAIT_SECONDS.labels(*labels).inc(seconds)


def exposed(gauges: Collector | None = None) -> tuple[bytes, str]:
    """All measures as text, with its content type. `gauges`: what is read from the tables, told with them."""
    if gauges is None:
        return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
    read = CollectorRegistry(auto_describe=False)
    read.register(gauges)
    return generate_latest(REGISTRY) + generate_latest(read), CONTENT_TYPE_LATEST


def gauge(
    name: str, help_text: str, labels: Iterable[str], values: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    """One gauge with its values by labels."""
    made = GaugeMetricFamily(name, help_text, labels=list(labels))
    for of, value in values:
        made.add_metric(list(of), value)
    return made
