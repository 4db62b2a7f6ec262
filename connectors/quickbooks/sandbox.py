"""A QuickBooks Online company on loopback: OAuth, the accounting API and faults on demand.

    app = create(client_id="id", client_secret="secret")      # then serve it with any ASGI server

Beside the routes of `sandbox_control`, whose words are the same in every sandbox, the control actions are:
    POST /_sandbox/grant   {}                              tokens without a browser, with the realmId
    POST /_sandbox/expire  {"refresh": false}              kill all access tokens (and the refresh tokens)
    POST /_sandbox/tamper  {"entity", "id", "action"}      add_cent, delete or duplicate, behind the caller's back
    POST /_sandbox/notify  {"url", "format"}               send the changes since the last call as one signed webhook;
                                                           format `cloudevents` (default) or `legacy`
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.error import HTTPError, URLError

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from .sandbox_bodies import Refused, bad_value, missing, not_found, unsupported
from .sandbox_books import Books
from .sandbox_company import BY_NAME, KINDS, TAX_RATES, Settings
from .sandbox_control import Controlled, encode
from .sandbox_oauth import REFRESH_SECONDS, OAuth, OAuthError
from .sandbox_query import parse as parse_query

_decode = msgspec.json.Decoder(float_hook=Decimal).decode
REQUEST_ID_LENGTH = 50


class Sandbox:
    """The whole state: `books`, `oauth`, the answers kept by requestid, and what was notified."""

    def __init__(self, settings: Settings, oauth: OAuth, verifier_token: str | None, replay_refusals: bool) -> None:
        self.settings = settings
        self.books = Books(settings)
        self.oauth = oauth
        self.verifier_token = verifier_token
        self.replay_refusals = replay_refusals
        self._answers: dict[str, tuple[int, bytes]] = {}
        self._trace = 0
        self._notified = 0

    def dump(self) -> dict[str, Any]:
        """All records; see Books.dump."""
        return self.books.dump()

    # -- the accounting API --------------------------------------------------------------------------------------------------

    def handle(self, request: Request, body: bytes) -> Response:
        """Answer one request under /v3/company/."""
        with self.books.lock:
            self._trace += 1
            headers = {"intuit_tid": f"1-{self._trace:08x}-{self._trace:024x}"}
            try:
                status, content = self._answer(request, body)
            except Refused as refusal:
                status, content = refusal.status, encode(refusal.body(self.books.stamp(fraction=True)))
            return Response(content, status, headers, "application/json;charset=utf-8")

    def _answer(self, request: Request, body: bytes) -> tuple[int, bytes]:
        if not self.oauth.accepts(request.headers.get("authorization")):
            return 401, _gateway(
                "3200", "message=AuthenticationFailed; errorCode=003200; statusCode=401", "Token expired"
            )
        if request.path_params["realm"] != self.settings.realm_id:
            return 403, _gateway(
                "3100", "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403", "realm"
            )
        version = request.query_params.get("minorversion")
        if version is not None and not version.isdigit():  # below 75 is read as 75: nothing here depends on it
            raise bad_value("minorversion", f"minorversion should be a number. Supplied value:{version}")
        if request.method != "POST":
            return 200, encode(self._get(request))
        request_id = request.query_params.get("requestid")
        if request_id is not None and len(request_id) > REQUEST_ID_LENGTH:
            # Assumption: only the length is published, not the refusal.
            raise bad_value("requestid", f"requestid is longer than {REQUEST_ID_LENGTH} characters")
        if request_id in self._answers:
            return self._answers[request_id]
        try:
            answer = 200, encode(self._post(request, body))
        except Refused as refusal:
            if not (self.replay_refusals and request_id):
                raise
            answer = refusal.status, encode(refusal.body(self.books.stamp(fraction=True)))
        if request_id:
            self._answers[request_id] = answer
        return answer

    def _get(self, request: Request) -> dict[str, Any]:
        parts = request.path_params["rest"].split("/")
        match parts:
            case ["query"]:
                return self._query(request.query_params.get("query"))
            case ["cdc"]:
                return self._changes(request.query_params)
            case ["companyinfo", _]:
                return self._wrapped("CompanyInfo", self.books.company())
            case [path, identity] if path in KINDS:
                if not identity.isdigit():
                    raise Refused("2030", "Invalid ID", f"Id should be a valid number. Supplied value:{identity}", "Id")
                return self._wrapped(KINDS[path].name, self.books.read(path, identity))
        raise unsupported(f"Could not find resource for relative : {request.url.path}")

    def _post(self, request: Request, body: bytes) -> dict[str, Any]:
        rest = request.path_params["rest"]
        if rest == "query":
            return self._query(body.decode())
        try:
            value = _decode(body)
        except msgspec.DecodeError as error:
            raise bad_value("body", f"The request body is not JSON: {error}") from None
        if rest == "taxservice/taxcode":
            return self.books.create_tax_code(value)
        if rest not in KINDS:
            raise unsupported(f"Could not find resource for relative : {request.url.path}")
        parameters = request.query_params
        record = self.books.write(rest, value, parameters.get("operation"), parameters.get("include"))
        return self._wrapped(KINDS[rest].name, record)

    def _wrapped(self, name: str, value: Any) -> dict[str, Any]:
        return {name: value, "time": self.books.stamp(fraction=True)}

    def _query(self, text: str | None) -> dict[str, Any]:
        if not text:
            raise missing("query")
        query = parse_query(text)
        found = self.books.query(query)
        if query.count:
            return self._wrapped("QueryResponse", {"totalCount": len(found)})
        page = query.page(found)
        if not page:
            return self._wrapped("QueryResponse", {})
        return self._wrapped(
            "QueryResponse", {query.entity: page, "startPosition": query.start, "maxResults": len(page)}
        )

    def _changes(self, parameters: Any) -> dict[str, Any]:
        names, since = parameters.get("entities"), parameters.get("changedSince")
        if not names or not since:
            raise missing("entities" if not names else "changedSince")
        try:
            instant = datetime.fromisoformat(since)
        except ValueError:
            raise bad_value("changedSince", f"Supplied value:{since}") from None
        instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        if (self.settings.clock() - instant).days > 30:
            raise bad_value("changedSince", f"changedSince is more than 30 days ago. Supplied value:{since}")
        responses = []
        for name in names.split(","):
            if name not in BY_NAME:
                raise not_found("entities", name)
            changed = self.books.changed_since(name, instant)[:1000]
            page = {name: changed, "startPosition": 1, "maxResults": len(changed)} if changed else {}
            responses.append(page)
        return self._wrapped("CDCResponse", [{"QueryResponse": responses}])

    # -- control ---------------------------------------------------------------------------------------------------------------

    def grant(self, _body: dict[str, Any]) -> tuple[int, Any]:
        """Action `grant`."""
        return 200, {**self.oauth.grant(), "realmId": self.settings.realm_id}

    def expire(self, body: dict[str, Any]) -> tuple[int, Any]:
        """Action `expire`."""
        return 200, {"expired": self.oauth.expire(bool(body.get("refresh")))}

    def tamper(self, body: dict[str, Any]) -> tuple[int, Any]:
        """Action `tamper`."""
        try:
            record = self.books.tamper(str(body["entity"]), str(body["id"]), str(body["action"]))
        except KeyError as error:
            return 400, {"error": str(error.args[0])}
        return 200, record

    def notify(self, body: dict[str, Any]) -> tuple[int, Any]:
        """Action `notify`: one webhook with all changes not yet sent; a refusal leaves them for the next call."""
        if not self.verifier_token or not body.get("url"):
            return 400, {"error": "notify needs a url, and a verifier_token among the sandbox's settings"}
        with self.books.lock:
            until = len(self.books.changes)
            changes = self.books.changes[self._notified : until]
        if not changes:
            return 200, {"sent": 0}
        make = self._legacy if body.get("format") == "legacy" else self._cloud_events
        content = encode(make(changes))
        key = self.verifier_token.encode()
        signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        headers = {"content-type": "application/json", "intuit-signature": signature}
        request = urllib.request.Request(str(body["url"]), content, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status = answer.status
        except HTTPError as error:
            return 200, {"sent": 0, "status": error.code}
        except (URLError, OSError) as error:
            return 200, {"sent": 0, "error": str(error)}
        self._notified = until
        return 200, {"sent": len(changes), "status": status}

    def _cloud_events(self, changes: Sequence[tuple[str, str, str, datetime]]) -> list[dict[str, Any]]:
        return [
            {
                "specversion": "1.0",
                "id": f"00000000-0000-4000-8000-{self._notified + number:012d}",
                "source": "intuit.sandbox",
                "type": f"qbo.{path}.{what}.v1",
                "datacontenttype": "application/json",
                "time": when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z"),
                "intuitentityid": identity,
                "intuitaccountid": self.settings.realm_id,
                "data": {},
            }
            for number, (path, identity, what, when) in enumerate(changes, 1)
        ]

    def _legacy(self, changes: Sequence[tuple[str, str, str, datetime]]) -> dict[str, Any]:
        words = {"created": "Create", "updated": "Update", "deleted": "Delete", "voided": "Void"}
        entities = [
            {
                "name": KINDS[path].name,
                "id": identity,
                "operation": words[what],
                "lastUpdated": when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            }
            for path, identity, what, when in changes
        ]
        event = {"realmId": self.settings.realm_id, "dataChangeEvent": {"entities": entities}}
        return {"eventNotifications": [event]}


def _gateway(code: str, message: str, detail: str) -> bytes:
    """The gateway in front of the accounting service writes its faults in lower case."""
    return encode(
        {"fault": {"error": [{"message": message, "detail": detail, "code": code}], "type": "AUTHENTICATION"}}
    )


def _routes(sandbox: Sandbox) -> list[Route]:
    async def company(request: Request) -> Response:
        return sandbox.handle(request, await request.body())

    def oauth_errors(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                return await handler(request)
            except OAuthError as error:
                return JSONResponse(error.body, error.status)

        return guarded

    async def consent(request: Request) -> Response:
        if request.method == "GET":
            return HTMLResponse(sandbox.oauth.page(request.query_params))
        return RedirectResponse(sandbox.oauth.decide(await _form(request)), 302)

    async def token(request: Request) -> Response:
        return JSONResponse(sandbox.oauth.token(request.headers.get("authorization"), await _form(request)))

    async def revoke(request: Request) -> Response:
        try:
            value = msgspec.json.decode(await request.body(), type=dict[str, str])
        except msgspec.DecodeError:
            raise OAuthError(400, "invalid_request") from None
        sandbox.oauth.revoke(request.headers.get("authorization"), value.get("token", ""))
        return Response(status_code=200)

    async def discovery(request: Request) -> Response:
        base = str(request.base_url).rstrip("/")
        return JSONResponse(
            {
                "issuer": f"{base}/op/v1",
                "authorization_endpoint": f"{base}/connect/oauth2",
                "token_endpoint": f"{base}/oauth2/v1/tokens/bearer",
                "revocation_endpoint": f"{base}/v2/oauth2/tokens/revoke",
                "response_types_supported": ["code"],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            }
        )

    return [
        Route("/v3/company/{realm}/{rest:path}", company, methods=["GET", "POST"]),
        Route("/connect/oauth2", oauth_errors(consent), methods=["GET", "POST"]),
        Route("/oauth2/v1/tokens/bearer", oauth_errors(token), methods=["POST"]),
        Route("/v2/oauth2/tokens/revoke", oauth_errors(revoke), methods=["POST"]),
        Route("/.well-known/openid_configuration", discovery),
        Route("/.well-known/openid_sandbox_configuration", discovery),
    ]


async def _form(request: Request) -> dict[str, str]:
    async with request.form() as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


def create(
    client_id: str,
    client_secret: str,
    realm_id: str = "9341453000000001",
    *,
    verifier_token: str | None = None,
    company_name: str = "Sandbox Company",
    company_currency: str = "EUR",
    multicurrency: bool = False,
    warn_duplicate_doc_numbers: bool = True,
    custom_transaction_numbers: bool = False,
    closing_date: date | None = None,
    tax_rates: Sequence[tuple[str, str]] = TAX_RATES,
    tax_override_tolerance: Decimal = Decimal("0.01"),
    replay_refusals: bool = False,
    clock: Callable[[], datetime] | None = None,
    access_seconds: int = 3600,
    refresh_seconds: int = REFRESH_SECONDS,
    refresh_grace_seconds: int = 0,
    rotate: bool = True,
    redirect_uris: Sequence[str] | None = None,
) -> Controlled:
    """The ASGI application; its state is `app.state.sandbox`.

    `clock` gives an aware datetime. `redirect_uris=None` takes any. `tax_rates` are the codes that are there from the start, as
    (name, percent). `replay_refusals`: the vendor says that a repeated requestid gets the first answer, and not whether this
    holds for a refusal; by default only what was done is remembered. `rotate=False` keeps the refresh token over refreshes, as
    the vendor does for about a day.
    """
    now = clock or (lambda: datetime.now(UTC))
    settings = Settings(
        realm_id=realm_id,
        company_name=company_name,
        company_currency=company_currency,
        multicurrency=multicurrency,
        warn_duplicate_doc_numbers=warn_duplicate_doc_numbers,
        custom_transaction_numbers=custom_transaction_numbers,
        closing_date=closing_date,
        tax_override_tolerance=Decimal(tax_override_tolerance),
        tax_rates=tax_rates,
        clock=now,
    )
    oauth = OAuth(
        client_id=client_id,
        client_secret=client_secret,
        realm_id=realm_id,
        company_name=company_name,
        clock=now,
        access_seconds=access_seconds,
        refresh_seconds=refresh_seconds,
        refresh_grace_seconds=refresh_grace_seconds,
        rotate=rotate,
        redirect_uris=redirect_uris,
    )
    sandbox = Sandbox(settings, oauth, verifier_token, replay_refusals)

    async def elsewhere(request: Request, error: Exception) -> Response:
        refusal = unsupported(f"Could not find resource for relative : {request.url.path}")
        status = 400 if isinstance(error, HTTPException) and error.status_code == 404 else 405
        return Response(encode(refusal.body(sandbox.books.stamp(True))), status, media_type="application/json")

    vendor = Starlette(routes=_routes(sandbox), exception_handlers={404: elsewhere, 405: elsewhere})
    actions = {"grant": sandbox.grant, "expire": sandbox.expire, "tamper": sandbox.tamper, "notify": sandbox.notify}
    return Controlled(vendor, sandbox, sandbox.dump, actions)
