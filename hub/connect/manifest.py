"""`connector.yaml`: what a connector declares about a kind of system. Read strictly, every error with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from hub.connect.declared_limits import CostLimit, Limit
from hub.connect.paths import FILTERS, places
from hub.connect.proof_spec import PLACES, Proof, compiled
from hub.connect.strict import STRICT, Code, one_of
from hub.mapping.document import Document, Problem, SourceError, load_document

#: Settings that every connection may have.
COMMON_SETTINGS = ("environment", "base_url", "grant")

Ladder = Literal["native_key", "find_first", "compare_and_set", "none"]
Meaning = Literal["retry", "throttled", "duplicate", "permanent", "ambiguous", "auth", "stale"]
_NAME = r"^[a-z][a-z0-9_]*$"


class Strict(BaseModel):
    model_config = STRICT


class Setting(Strict):
    """One setting of a connection. Those of type `secret` are sealed."""

    type: Literal["text", "int", "bool", "secret"] = "text"
    required: bool = False
    default: str | int | bool | None = None
    choices: list[str] = []
    help: str = ""

    @model_validator(mode="after")
    def _default_fits(self) -> Setting:
        kind = {"text": str, "int": int, "bool": bool}.get(self.type)
        if self.default is not None and (kind is None or type(self.default) is not kind):
            raise ValueError(f"the default is not of type {self.type}" if kind else "a secret has no default")
        return self


class HeaderPlace(Strict):
    """The header that carries a credential, and what stands before it."""

    name: str = "Authorization"
    prefix: str = "Bearer "


class CallbackHmac(Strict):
    """A callback whose parameters are signed with the client secret: sorted, form-encoded, without the listed ones."""

    parameter: str = "hmac"
    leave_out: list[str] = []
    timestamp: str | None = None
    tolerance: int = 90


class OAuth2(Strict):
    """OAuth 2. `client_id` and `client_secret` are settings of every connection with it."""

    type: Literal["oauth2"]
    grants: list[Literal["authorization_code", "client_credentials"]] = ["authorization_code"]
    authorize_url: str = ""
    token_url: str
    scopes: list[str] = []
    scope_separator: str = " "
    client: Literal["basic", "body"] = "body"
    body: Literal["form", "json"] = "form"
    #: the request for a code's tokens has neither `grant_type` nor `redirect_uri`
    code_only: bool = False
    pkce: bool = False
    authorize_parameters: dict[str, str] = {}
    #: more parameters of the token request for each grant (`authorization_code`, `refresh_token`, `client_credentials`)
    token_parameters: dict[str, dict[str, str]] = {}
    header: HeaderPlace = HeaderPlace()
    #: callback parameter -> setting that keeps it (`realmId: realm_id`)
    keep: dict[str, str] = {}
    #: callback parameter -> setting that it must equal (`shop: shop`)
    match: dict[str, str] = {}
    callback_hmac: CallbackHmac | None = None


class ApiKey(Strict):
    type: Literal["api_key"]
    secret: str
    header: HeaderPlace = HeaderPlace()


class Basic(Strict):
    type: Literal["basic"]
    user: str
    password: str


class NoAuth(Strict):
    type: Literal["none"] = "none"


Auth = Annotated[OAuth2 | ApiKey | Basic | NoAuth, Field(discriminator="type")]


class Signature(Strict):
    """How webhooks are signed; see `signatures.Scheme`. Texts may hold places of settings."""

    header: str
    secret: str = "webhook_secret"  # noqa: S105
    algorithm: str = "sha256"
    encoding: str = "base64"
    prefix: str = ""
    content: str = "{body}"
    id_header: str = ""
    timestamp_header: str = ""
    tolerance: int | str = 300
    secret_encoding: str = "text"  # noqa: S105
    secret_prefix: str = ""


class Place(Strict):
    """Where a value of a webhook stands: a header, a path of the body, or always the same."""

    header: str = ""
    path: str = ""
    value: str = ""


class Account(Strict):
    """A header that must name the connection's own account: one client secret signs for many shops."""

    header: str
    setting: str


class Topic(Strict):
    """What a topic brings. `id` is a path of the body, or a text with places (`{item}:{location}`)."""

    record: str
    id: str
    #: the id in the ordering key, when it is another than the record's
    key: str | None = None
    stamp: str | None = None
    #: the body only says that something changed: the record is read
    hint: bool = False
    #: the connection ends with it
    disconnect: bool = False


class Webhooks(Strict):
    signature: Signature
    delivery_id: Place = Place()
    topic: Place
    account: Account | None = None
    topics: dict[str, Topic]
    #: creates or repairs the subscriptions: `setup(link, callback_url)`
    setup: Code | None = None


class Record(Strict):
    """How a kind of record comes in. Code: `decode(topic, headers, data)`, `read(link, id)`, `poll(link, cursor)`."""

    decode: Code | None = None
    read: Code | None = None
    poll: Code | None = None
    #: seconds that a poll reads again
    lookback: int = 600
    #: seconds between polls
    interval: int = 300


class Key(Strict):
    """Where the vendor's idempotency key goes and what it may look like."""

    at: Literal["header", "query", "variable"]
    name: str
    form: Literal["text", "hash", "uuid"] = "text"
    max_length: int | None = None
    #: seconds that the vendor remembers it; nothing: for ever
    remembers: int | None = None


class Request(Strict):
    """A request. `path`, `query` and `headers` may hold places: settings, body, key."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    path: str
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    #: send the operation's body as JSON
    json_body: bool = True


class Answer(Strict):
    id: str | None = None


class Find(Strict):
    """Looks up by natural key: with code `find(link, call)`, or with a GET and the first item that fits."""

    model_config = ConfigDict(json_schema_extra=one_of("code", "path"))

    code: Code | None = None
    path: str = ""
    query: dict[str, str] = {}
    items: str = ""
    #: path of an item -> text that it must equal
    where: dict[str, str] = {}
    #: path of an item -> text that it must hold
    contains: dict[str, str] = {}
    id: str = "id"
    #: look before the first attempt as well
    always: bool = False
    #: seconds that the system needs before a new record is found
    settle: int = 0

    @model_validator(mode="after")
    def _one_way(self) -> Find:
        if bool(self.code) == bool(self.path):
            raise ValueError("give `code` or `path`, one of the two")
        return self


class ErrorRule(Strict):
    """An answer that fits all that is given means `is`. `wait`: seconds before the next attempt."""

    status: int | list[int] | None = None
    code: str | list[str] | None = None
    message: str | None = None
    means: Meaning = Field(alias="is")
    wait: int | None = None

    @property
    def statuses(self) -> list[int]:
        return [self.status] if isinstance(self.status, int) else self.status or []

    @property
    def codes(self) -> list[str]:
        return [self.code] if isinstance(self.code, str) else self.code or []


class ErrorShape(Strict):
    """Where an error's code and message stand in an answer; the first path that has a value counts."""

    code: list[str] = []
    message: list[str] = []
    #: an answer of 2xx may hold an error too
    also_in_success: bool = False
    #: header with the seconds to wait
    wait_header: str = "Retry-After"
    rules: list[ErrorRule] = []


class Operation(Strict):
    """One write (or `read: true`). `code` sends it: `send(link, call)`; else `request` says how."""

    model_config = ConfigDict(json_schema_extra=one_of("request", "code"))

    ladder: Ladder = "none"
    read: bool = False
    #: the delivery says how things should be: later ones take the place of waiting ones
    state: bool = False
    key: Key | None = None
    request: Request | None = None
    code: Code | None = None
    answer: Answer = Answer()
    binds: str | None = None
    #: the record of this connector that it changes, where it comes back as an event: lets lint see echo loops
    writes: str | None = None
    find: Find | None = None
    #: how `hub prove --remote` lists what is there; without it that is not compared
    proof: Proof | None = None
    errors: list[ErrorRule] = []
    help: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Operation:
        if bool(self.request) == bool(self.code):
            raise ValueError("give `request` or `code`, one of the two")
        if self.ladder in ("native_key", "compare_and_set") and self.key is None:
            raise ValueError(f"the ladder {self.ladder} needs `key`")
        if self.ladder == "find_first" and self.find is None:
            raise ValueError("the ladder find_first needs `find`")
        return self


class Manifest(Strict):
    connector: str = Field(pattern=_NAME)
    title: str
    help: str = ""
    roles: list[Annotated[str, Field(pattern=_NAME)]] = []
    settings: dict[Annotated[str, Field(pattern=_NAME)], Setting] = {}
    #: by environment; the first is the default. `settings.base_url` takes the place of scheme and host
    base_urls: dict[str, str] = {}
    headers: dict[str, str] = {}
    auth: Auth = NoAuth()
    webhooks: Webhooks | None = None
    records: dict[Annotated[str, Field(pattern=_NAME)], Record] = {}
    operations: dict[str, Operation] = {}
    errors: ErrorShape = ErrorShape()
    #: what the system allows; requests wait for it beforehand (hub/connect/limits)
    limits: list[Limit] = []
    #: code of the connector's own calls by name: `adopt_stock: stock:adopt`
    calls: dict[str, Code] = {}
    #: checks that a connection works: `check(link)`
    check: Code | None = None

    @field_validator("operations")
    @classmethod
    def _operation_names(cls, value: dict[str, Operation]) -> dict[str, Operation]:
        for name in value:
            if not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?", name):
                raise ValueError(f"{name!r} is not a name of an operation, such as `invoice.create`")
        return value

    def secret_names(self) -> set[str]:
        """The settings that are sealed."""
        own = {name for name, setting in self.settings.items() if setting.type == "secret"}
        return own | ({"client_secret", "access_token", "refresh_token"} if isinstance(self.auth, OAuth2) else set())

    def code_refs(self) -> list[str]:
        """All references to code, for checking that they are there."""
        found: list[str | None] = [self.check, *self.calls.values()]
        found += [self.webhooks.setup] if self.webhooks else []
        for record in self.records.values():
            found += [record.decode, record.read, record.poll]
        for operation in self.operations.values():
            found += [operation.code, operation.find.code if operation.find else None]
            found += [operation.proof.code if operation.proof else None]
        return [ref for ref in found if ref]


class ManifestError(Exception):
    """A connector.yaml that cannot be used: all that is wrong in it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def load_manifest(file: Path, shown: str | None = None) -> Manifest:
    """Reads a connector.yaml. Raises: ManifestError."""
    return parse_manifest(file.read_text("utf-8"), shown or str(file))


def parse_manifest(text: str, file: str) -> Manifest:
    """Reads the text of a connector.yaml; `file` is the name used in positions. Raises: ManifestError."""
    try:
        document = load_document(text, file)
    except SourceError as error:
        raise ManifestError([error.problem]) from None
    try:
        manifest = Manifest.model_validate(document.value)
    except ValidationError as error:
        raise ManifestError([_problem(document, each) for each in error.errors()]) from None
    problems = list(_check(manifest, document))
    if problems:
        raise ManifestError(problems)
    return manifest


def _problem(document: Document, error: Any) -> Problem:
    path, value = [], document.value
    for part in error["loc"]:
        inside = isinstance(value, dict) and part in value
        inside = inside or (isinstance(value, list) and isinstance(part, int) and part < len(value))
        if inside:  # a part that is not there names a choice of types, or a key that is missing
            path.append(part)
            value = value[part]
    extra = error["type"] == "extra_forbidden"
    place = document.key_position(tuple(path)) if extra else document.position(tuple(path))
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        message = f"{error['loc'][-1]!r} is missing"
    if extra:
        message = f"{error['loc'][-1]!r} is not known here"
    return Problem(place.file, place.line, place.column, "manifest", message, "")


def _check(manifest: Manifest, document: Document) -> list[Problem]:
    problems = []

    def wrong(path: tuple[str | int, ...], message: str, hint: str = "") -> None:
        place = document.position(path)
        problems.append(Problem(place.file, place.line, place.column, "manifest", message, hint))

    known = {*manifest.settings, *COMMON_SETTINGS, "client_id", "client_secret"}

    def walk(value: Any, path: tuple[str | int, ...]) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, (*path, key))
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                walk(inner, (*path, index))
        elif isinstance(value, str):
            for place in places(value):
                root, _, name = place.partition(".")
                if root == "settings" and name not in known:
                    wrong(path, f"no setting {name!r} is declared", "declare it under `settings`")
            for name in re.findall(r"\{[^{}|]*\|([a-z_]+)\}", value):
                if name not in FILTERS:
                    wrong(path, f"unknown filter {name!r}", f"one of {', '.join(FILTERS)}")

    walk(document.value, ())
    secrets = manifest.secret_names()
    auth = manifest.auth
    if isinstance(auth, ApiKey) and auth.secret not in secrets:
        wrong(("auth", "secret"), f"{auth.secret!r} is not a setting of type secret")
    if isinstance(auth, Basic) and auth.password not in secrets:
        wrong(("auth", "password"), f"{auth.password!r} is not a setting of type secret")
    if manifest.webhooks:
        if manifest.webhooks.signature.secret not in secrets:
            wrong(("webhooks", "signature"), f"{manifest.webhooks.signature.secret!r} is not a setting of type secret")
        for name, topic in manifest.webhooks.topics.items():
            if "{" not in topic.record and topic.record not in manifest.records:
                wrong(("webhooks", "topics", name, "record"), f"no record {topic.record!r} is declared")
    for name, operation in manifest.operations.items():
        if operation.writes is not None and operation.writes not in manifest.records:
            hint = f"one of {', '.join(manifest.records)}" if manifest.records else "it brings no records: leave it out"
            wrong(("operations", name, "writes"), f"no record {operation.writes!r} is declared", hint)
        if operation.proof is not None:
            problems += _check_proof(operation.proof, ("operations", name, "proof"), document)
    for number, limit in enumerate(manifest.limits):
        own = manifest.settings.get(limit.setting) if limit.setting else None
        if limit.setting and (own is None or own.type != "int"):
            wrong(("limits", number, "setting"), f"{limit.setting!r} is not a setting of type int")
        if limit.scope == "app" and not isinstance(auth, OAuth2):
            wrong(("limits", number, "scope"), "only OAuth tells which connections are of one app", "scope: connection")
        if limit.scope == "app" and limit.setting:
            hint = "scope: connection, or no setting"
            wrong(
                ("limits", number, "setting"),
                "a quota of the app is one for all its connections: none has its own",
                hint,
            )
        if isinstance(limit, CostLimit) and (dear := [name for name, cost in limit.costs.items() if cost > limit.most]):
            wrong(("limits", number, "costs", dear[0]), f"it costs more than `most`, which is {limit.most}")
    return problems


def _check_proof(proof: Proof, path: tuple[str | int, ...], document: Document) -> Iterator[Problem]:
    """Places that nothing fills, and expressions that do not compile."""
    texts = {("path",): proof.path} | {("query", name): text for name, text in proof.query.items()}
    for where, text in texts.items():
        for place in places(text):
            if place.partition(".")[0] not in ("settings", *PLACES):
                at = document.position((*path, *where))
                hint = f"a setting, or one of {', '.join(PLACES)}"
                yield Problem(at.file, at.line, at.column, "manifest", f"nothing is called {place!r} here", hint)
    for name, compared in proof.same.items():
        for side in ("there", "here"):
            try:
                compiled(getattr(compared, side), document.position((*path, "same", name, side)))
            except SourceError as error:
                yield error.problem
