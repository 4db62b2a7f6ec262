"""The API: thin routes over the admin functions, which the CLI calls as well."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field

from hub.web import api_keys, api_parked, api_proof, api_restored, exact
from hub.web.asked import Body, By, Narrowed
from hub.web.site import Site
from hub.workers.admin import bookkeeping, connections, events, flows, questions, reports, rollout, verify
from hub.workers.admin.paging import MAX_LIMIT

Mode = Literal["observe", "paused", "live"]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
Before = Annotated[int | None, Query(ge=0, description="`next` of the page before")]
Name = Annotated[str, Path(max_length=60)]


class ApplyBody(Body):
    """`text`: all of connections.yaml; `file`: its name in error messages."""

    text: str
    file: str = "connections.yaml"


class SecretsBody(Body):
    secrets: dict[str, str] = Field(min_length=1)


class ModeBody(Body):
    mode: Mode
    go_live_at: str | None = None


class SetupBody(Body):
    """`callback_url`: where webhooks go to; without it the hub's own public address."""

    callback_url: str | None = None


class EventsBody(Body):
    """`key`: the same call again changes nothing."""

    records: list[dict[str, Any]] = Field(min_length=1, max_length=events.MAX_RECORDS)
    key: str | None = None


class AnswerBody(Body):
    answer: str
    values: dict[str, Any] = Field(default_factory=dict)


class ReplayBody(Body):
    """`same_version`: with the versions of the flows that worked them last."""

    seqs: list[int] = Field(min_length=1, max_length=1000)
    same_version: bool = False


class RollbackBody(Body):
    """`merchant`: of one only."""

    merchant: int | None = None


class ActivateBody(RollbackBody):
    """`version`: a part of its hash, or `active`, `before`, `canary`, `files`. `share` (of 100 ordering keys) or
    `rollback_if` (`errors > 5% of 50`): as a canary. `files`: what the files say, from now on."""

    version: str | None = None
    share: int | None = Field(default=None, ge=1, le=100)
    rollback_if: str | None = None
    files: bool = False


class TokenBody(Body):
    days: int = Field(default=365, ge=1, le=3660)


def router(site: Site) -> APIRouter:
    """All routes under `/api`."""
    routes = APIRouter(prefix="/api")
    hub = site.hub
    _reading(routes, site)
    _connections(routes, site)
    _flows(routes, site)
    api_proof.add(routes, site)
    api_restored.add(routes, site)
    api_parked.add(routes, site)
    api_keys.add(routes, site)

    @routes.post("/events/{name}", openapi_extra=exact.described(EventsBody))
    def trigger(name: Name, raw: exact.Raw) -> dict[str, Any]:
        """Brings in records for the flows with this manual trigger."""
        body = exact.read(EventsBody, raw)
        return events.trigger(hub, name, body.records, key=body.key)

    @routes.post("/questions/{question_id}/answer")
    def answer(question_id: Annotated[int, Path(ge=0)], body: AnswerBody, by: By) -> dict[str, Any]:
        """Answers an open question."""
        return questions.answer(hub, question_id, body.answer, body.values, by=by)

    @routes.post("/replay")
    def replay(body: ReplayBody, by: By) -> dict[str, Any]:
        """Works parked or done events again."""
        return events.replay(hub, body.seqs, same_version=body.same_version, by=by)

    @routes.get("/verify")
    def verified() -> dict[str, Any]:
        """Checks books, stock, documents and effects from their rows."""
        return verify.verify(hub)

    @routes.post("/login-link")
    def login_link() -> dict[str, Any]:
        """A link that signs a person in, once."""
        return {"url": f"{site.base_url}/login?token={site.keys.login_token()}"}

    @routes.post("/tokens")
    def token(body: TokenBody) -> dict[str, Any]:
        """A bearer token for a program."""
        return {"token": site.keys.api_token(body.days * 86_400), "days": body.days}

    return routes


def _reading(routes: APIRouter, site: Site) -> None:
    hub = site.hub

    @routes.get("/status")
    def status() -> dict[str, Any]:
        """Counts, the oldest open event, and whether nothing is left to do."""
        return reports.status(hub)

    @routes.get("/inbox")
    def inbox(narrowed: Narrowed, state: str | None = None, before: Before = None, limit: Limit = 50) -> dict[str, Any]:
        """Events, newest first."""
        return reports.inbox(hub, state=state, before=before, limit=limit, **narrowed)

    @routes.get("/outbox")
    def outbox(
        narrowed: Narrowed,
        state: str | None = None,
        operation: str | None = None,
        before: Before = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """Deliveries, newest first."""
        return reports.outbox(hub, state=state, operation=operation, before=before, limit=limit, **narrowed)

    @routes.get("/runs")
    def runs(
        narrowed: Narrowed,
        event: int | None = None,
        state: str | None = None,
        before: Before = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """Runs of flows, newest first."""
        return reports.runs(hub, event=event, state=state, before=before, limit=limit, **narrowed)

    @routes.get("/questions")
    def asked(
        narrowed: Narrowed,
        state: Literal["open", "answered", "resolved", "all"] = "open",
        delivery: int | None = None,
        before: Before = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """Questions and the answers that they take, newest first."""
        return questions.listed(hub, state=state, delivery=delivery, before=before, limit=limit, **narrowed)

    @routes.get("/stock")
    def stock(sku: str | None = None, after: str | None = None, limit: Limit = 200) -> dict[str, Any]:
        """Warehouse levels by SKU, and what each channel is believed to show."""
        return bookkeeping.stock(hub, sku=sku, after=after, limit=limit)

    @routes.get("/ledger")
    def ledger(all: bool = False) -> dict[str, Any]:
        """Accounts with their balances, debit positive."""
        return bookkeeping.ledger(hub, all=all)

    @routes.get("/entries")
    def entries(
        account: str | None = None,
        document: str | None = None,
        since: date | None = None,
        until: date | None = None,
        before: Before = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """Entries with their postings, the last first."""
        return bookkeeping.entries(
            hub, account=account, document=document, since=since, until=until, before=before, limit=limit
        )

    @routes.get("/orders")
    def orders(
        name: str | None = None,
        state: Literal["open", "closed", "cancelled", "before_go_live"] | None = None,
        before: Before = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """Orders with what they come to now and what was invoiced for them, newest first."""
        return bookkeeping.orders(hub, name=name, state=state, before=before, limit=limit)

    @routes.get("/documents")
    def documents(
        kind: Literal["invoice", "credit_note"] | None = None,
        number: str | None = None,
        before: Before = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """Invoices and credit notes, newest first."""
        return bookkeeping.documents(hub, kind=kind, number=number, before=before, limit=limit)


def _flows(routes: APIRouter, site: Site) -> None:
    hub = site.hub

    @routes.post("/flows/reload")
    def reload() -> dict[str, Any]:
        """Reads flows, mappings, connections and roles again; a flow that does not lint is refused, its last version goes on."""
        return flows.reload(hub)

    @routes.get("/flows")
    def listed(merchant: int | None = None) -> dict[str, Any]:
        """What runs, since when, what the files say, and how each version does."""
        return rollout.listed(hub, merchant=merchant)

    @routes.get("/flows/{flow}/diff")
    def diff(flow: Name, a: str | None = None, b: str | None = None, merchant: int | None = None) -> dict[str, Any]:
        """How two versions differ in all their texts."""
        return rollout.diff(hub, flow, a=a, b=b, merchant=merchant)

    @routes.post("/flows/{flow}/activate")
    def activate(flow: Name, body: ActivateBody, by: By) -> dict[str, Any]:
        """Pins a version for all or starts a canary, or follows the files again."""
        return rollout.activate(hub, flow, **body.model_dump(), by=by)

    @routes.post("/flows/{flow}/rollback")
    def rollback(flow: Name, body: RollbackBody, by: By) -> dict[str, Any]:
        """Ends the canary, else runs the version from before."""
        return rollout.rollback(hub, flow, merchant=body.merchant, by=by)


def _connections(routes: APIRouter, site: Site) -> None:
    hub = site.hub

    @routes.get("/connections")
    def listed() -> dict[str, Any]:
        """All connections with their roles."""
        return connections.listed(hub)

    @routes.post("/connections/apply")
    def apply(body: ApplyBody) -> dict[str, Any]:
        """Makes connections and roles what a connections.yaml says."""
        return connections.apply(hub, body.text, file=body.file)

    @routes.put("/connections/{name}/secrets")
    def set_secrets(name: Name, body: SecretsBody) -> dict[str, Any]:
        """Seals secrets; those not given stay."""
        return connections.set_secrets(hub, name, body.secrets)

    @routes.post("/connections/{name}/mode")
    def set_mode(name: Name, body: ModeBody) -> dict[str, Any]:
        """Observes, pauses or goes live."""
        return connections.set_mode(hub, name, body.mode, go_live_at=body.go_live_at)

    @routes.post("/connections/{name}/setup")
    def setup(name: Name, body: SetupBody | None = None) -> dict[str, Any]:
        """Creates or repairs the webhook subscriptions."""
        found = connections.link(hub, name)
        url = (body.callback_url if body else None) or site.webhook_url(found.name)
        return connections.setup(hub, found.name, url)

    @routes.post("/connections/{name}/adopt-stock")
    def adopt_stock(name: Name) -> dict[str, Any]:
        """Takes a shop's own quantities as the starting point."""
        return connections.adopt_stock(hub, name)

    @routes.post("/connections/{name}/check")
    def check(name: Name) -> dict[str, Any]:
        """Asks the system whether the connection works."""
        return connections.check(hub, name)

    @routes.post("/connections/{name}/poll")
    def poll(name: Name) -> dict[str, Any]:
        """Asks the system now what changed."""
        return events.poll(hub, name)
