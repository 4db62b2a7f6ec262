"""The API: thin routes over the admin functions, which the CLI calls as well."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub.connect import payload
from hub.connect.errors import Unreadable
from hub.web import api_proof, api_restored
from hub.web.site import Site
from hub.workers.admin import bookkeeping, connections, events, flows, questions, reports, rollout, verify
from hub.workers.admin.errors import AdminError
from hub.workers.admin.paging import MAX_LIMIT

Mode = Literal["observe", "paused", "live"]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
Before = Annotated[int | None, Query(ge=0, description="`next` of the page before")]
Name = Annotated[str, Path(max_length=60)]
_MAX_BODY = 64 * 1024 * 1024
_BY = "api"


class Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


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
    values: dict[str, Any] = {}


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


async def _raw(request: Request) -> bytes:
    """The body as it came: numbers in it stay exact."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > _MAX_BODY:
            raise AdminError(f"the body is over {_MAX_BODY} bytes: send fewer records at once")
        parts.append(part)
    return b"".join(parts)


def router(site: Site) -> APIRouter:
    """All routes under `/api`."""
    routes = APIRouter(prefix="/api")
    hub = site.hub
    _reading(routes, site)
    _connections(routes, site)
    _flows(routes, site)
    api_proof.add(routes, site)
    api_restored.add(routes, site)

    @routes.post("/events/{name}", openapi_extra=_exact(EventsBody))
    def trigger(name: Name, raw: Annotated[bytes, Depends(_raw)]) -> dict[str, Any]:
        """Brings in records for the flows with this manual trigger."""
        try:
            body = EventsBody.model_validate(payload.decode(raw))
        except Unreadable as error:
            raise AdminError(f"the body is {error}") from None
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
            raise AdminError("the request does not fit", problems) from None
        return events.trigger(hub, name, body.records, key=body.key)

    @routes.post("/questions/{question_id}/answer")
    def answer(question_id: Annotated[int, Path(ge=0)], body: AnswerBody) -> dict[str, Any]:
        """Answers an open question."""
        return questions.answer(hub, question_id, body.answer, body.values, by=_BY)

    @routes.post("/replay")
    def replay(body: ReplayBody) -> dict[str, Any]:
        """Works parked or done events again."""
        return events.replay(hub, body.seqs, same_version=body.same_version, by=_BY)

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
    def inbox(
        state: str | None = None, connection: str | None = None, before: Before = None, limit: Limit = 50
    ) -> dict[str, Any]:
        """Events, newest first."""
        return reports.inbox(hub, state=state, connection=connection, before=before, limit=limit)

    @routes.get("/outbox")
    def outbox(
        state: str | None = None,
        connection: str | None = None,
        operation: str | None = None,
        before: Before = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """Deliveries, newest first."""
        return reports.outbox(hub, state=state, connection=connection, operation=operation, before=before, limit=limit)

    @routes.get("/runs")
    def runs(
        event: int | None = None,
        flow: str | None = None,
        state: str | None = None,
        before: Before = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """Runs of flows, newest first."""
        return reports.runs(hub, event=event, flow=flow, state=state, before=before, limit=limit)

    @routes.get("/questions")
    def asked(
        state: Literal["open", "answered", "resolved", "all"] = "open",
        delivery: int | None = None,
        before: Before = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """Questions and the answers that they take, newest first."""
        return questions.listed(hub, state=state, delivery=delivery, before=before, limit=limit)

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
    def activate(flow: Name, body: ActivateBody) -> dict[str, Any]:
        """Pins a version for all or starts a canary, or follows the files again."""
        return rollout.activate(hub, flow, **body.model_dump(), by=_BY)

    @routes.post("/flows/{flow}/rollback")
    def rollback(flow: Name, body: RollbackBody) -> dict[str, Any]:
        """Ends the canary, else runs the version from before."""
        return rollout.rollback(hub, flow, merchant=body.merchant, by=_BY)


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


def _exact(model: type[BaseModel]) -> dict[str, Any]:
    """The description of a body that is read as it came."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}
