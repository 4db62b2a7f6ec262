"""What came in, worked again: in a scratch hub without a network, by the flows of one folder. Its effects are kept by
natural keys, so that those of two versions can be laid side by side."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hub.connect.manifest import OAuth2
from hub.connect.registry import Registry
from hub.core.sales.references import order_ref
from hub.inbox.receive import Received
from hub.mapping import Problem
from hub.workers.effects import FIRST_ID, Effect, effects
from hub.workers.kept_reads import Asked, KeptReads, Translate, asked
from hub.workers.offline import offline
from hub.workers.orderrefs import refs_in, translated
from hub.workers.recorded import Connected, Recorded, Window, World, events, orders_named
from hub.workers.scratch import MERCHANT_ID, Scratch

_LANES = 64
#: what a secret or a setting that has to be given is in a hub that reaches nothing
_NOTHING = {"text": "none", "secret": "none", "int": 0, "bool": False}


class FlowsRefused(Exception):
    """Flows or mappings that do not lint."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = list(problems)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)  # it comes back from another process


@dataclass(frozen=True)
class Version:
    """The flows, mappings and connectors that events are worked by. `home`: the folder whose files take the place of
    shipped ones; null: the shipped ones."""

    name: str
    home: Path | None

    @property
    def homes(self) -> list[Path]:
        return [] if self.home is None else [self.home]

    def registry(self) -> Registry:
        return Registry.discover(self.home)


@dataclass
class Rerun:
    """What a version made of the events."""

    effects: list[Effect]
    #: flows and mappings that do not load, so that they do not run
    problems: list[Problem]


def rerun(version: Version, world: World, url: str, chosen: Window) -> Rerun:
    """Works the events of a hub again. Raises: HomeError."""
    with offline(), tempfile.TemporaryDirectory(prefix="hub-simulate-") as folder:
        again = Again(Path(folder), version, world, url, FIRST_ID)
        try:
            for some in events(url, chosen):
                again.work(some)
            return again.result()
        finally:
            again.scratch.close()


def connect_all(scratch: Scratch, connections: Sequence[Connected]) -> dict[int, int]:
    """The same connections in a scratch hub, without secrets, in the mode `observe`. Ids there by the ids given."""
    known = set(scratch.registry.names())
    made: dict[int, int] = {}
    for each in connections:
        if each.connector not in known:
            continue  # a version without this connector: no flow of it can name it
        manifest = scratch.registry.get(each.connector).manifest
        needed = {name: _NOTHING[setting.type] for name, setting in manifest.settings.items() if setting.required}
        if isinstance(manifest.auth, OAuth2):
            needed |= {"client_id": "none", "access_token": "none"}
        settings = {name: value for name, value in each.settings.items() if name in _settings_of(manifest)}
        made[each.id] = scratch.connect(
            each.name,
            each.connector,
            {**needed, **settings},
            mode="observe",
            roles=each.roles,
            go_live_at=each.go_live_at,
        )
    return made


def _settings_of(manifest: Any) -> set[str]:
    learned = set(manifest.auth.keep.values()) if isinstance(manifest.auth, OAuth2) else set()
    return {*manifest.settings, *learned, "client_id", "environment", "base_url", "grant"}


class Again:
    """A scratch hub that works recorded events, at the instants at which they came in."""

    def __init__(self, folder: Path, version: Version, world: World, url: str, first_id: int | None = None) -> None:
        self._url = url
        self.now = 0
        self.scratch = Scratch(
            folder,
            version.registry(),
            lambda: self.now,
            homes=version.homes,
            currency=world.currency,
            zone=world.zone,
            first_id=first_id,
        )
        self._ids = connect_all(self.scratch, world.connections)
        self._names = {self._ids[each.id]: each.name for each in world.connections if each.id in self._ids}
        self.scratch.stock(world.items)
        for connection_id in sorted(self._ids):
            aliases = {key: sku for owner, key, sku in world.aliases if owner == connection_id}
            self.scratch.alias(self._ids[connection_id], aliases)
        self.flows = sorted(flow.name for flow in self.scratch.hub.active(MERCHANT_ID).flows)
        #: what does not load does not run, in the hub as well as here
        self.problems = self.scratch.hub.problems
        self._unread: set[Asked] = set()
        self._kept = KeptReads(url, self.scratch, self._ids, self._translated)

    def work(self, some: Sequence[Recorded]) -> None:
        """Receives some events and works them, as they came."""
        here = [event for event in some if event.connection_id is None or event.connection_id in self._ids]
        if not here:
            return
        self.now = max(self.now, *(event.received_at for event in here))
        seqs = self.scratch.receive_all([(self._received(event), event.content) for event in self._referring(here)])
        for seq, event in zip(seqs, here, strict=True):
            self._kept.keep(seq, event.fetched)
        while True:
            self.scratch.work()
            answered = self._kept.answer()
            unread = self.scratch.unread()
            self._unread.update(unread)
            if not answered and not unread:
                return

    @property
    def asked(self) -> set[Asked]:
        """What would be read now: records, and what flows ask for that the hub has no answer to."""
        return self._unread | {asked(fetch) for event in self.scratch.asking() for fetch in event.reads}

    def _received(self, event: Recorded) -> Received:
        key, connection_id = event.ordering_key, None
        if event.connection_id is not None:
            connection_id = self._ids[event.connection_id]
            key = f"{connection_id}:{key.partition(':')[2]}"
        return Received(
            merchant_id=MERCHANT_ID,
            connection_id=connection_id,
            kind=event.kind,
            topic=event.topic,
            record=event.record,
            record_id=event.record_id,
            ordering_key=key,
            lanes=_LANES,
            body=event.body,
            content_type=event.content_type,
            stamp=event.stamp,
        )

    def _referring(self, some: Sequence[Recorded]) -> Iterator[Recorded]:
        """Events with the references of our orders as they are here: a warehouse sends back what it was given."""
        here = self._translated([text for event in some for text in (event.body, event.content) if text is not None])
        for event in some:
            yield replace(event, body=here(event.body), content=here(event.content))

    def _translated(self, texts: Sequence[bytes]) -> Translate:
        """Gives texts with the references that our orders have here."""
        refs = refs_in(texts)
        known = orders_named(self._url, refs) if refs else {}
        there = {ref: self._order(*order) for ref, order in known.items()}
        return lambda text: text and translated(text, there)

    def _order(self, connection_id: int, external_id: str) -> str:
        """The reference here of an order that the hub knows; one that nobody has where it was not worked here."""
        return order_ref(self._ids.get(connection_id, 0), external_id)

    def result(self) -> Rerun:
        """The effects of all that was worked."""
        with self.scratch.database.read() as connection:
            found = effects(connection, self._names, self.asked)
        return Rerun(found, self.problems)
