"""`limits:` of a connector.yaml: what the system allows, and where its answers say what is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from hub.connect.strict import STRICT

Number = Annotated[float, Field(gt=0, strict=False)]


class _Declared(BaseModel):
    model_config = STRICT


class Headers(_Declared):
    """Headers of an answer: what is left (`7`, or `33/40`: 33 used of 40), how much is allowed, and when all is free again
    (seconds, or an instant, which is read by the answer's own Date)."""

    remaining: str = ""
    limit: str = ""
    reset: str = ""


class Body(_Declared):
    """Paths of an answer's body: what the operation was said to cost (`requested`) and did (`actual`), what is left, how much
    there can be, and how much is restored a second."""

    requested: str = ""
    actual: str = ""
    remaining: str = ""
    limit: str = ""
    restore: str = ""

    def paths(self) -> list[tuple[str, str]]:
        """The paths that are given, by name."""
        return [(name, path) for name, path in self if path]


class _Limit(_Declared):
    #: whose quota it is: each connection's own, or that of all connections of one OAuth app
    scope: Literal["connection", "app"] = "connection"
    #: setting of the connection that takes the place of the number (`requests`, `restore`, `at_once`); 0: no limit
    setting: str = ""


class WindowLimit(_Limit):
    """So many `requests` in any `per` seconds, whether the system's windows slide or are fixed."""

    model: Literal["window"]
    requests: int = Field(gt=0)
    per: Number
    headers: Headers | None = None

    @property
    def amount(self) -> float:
        return self.requests


class BucketLimit(_Limit):
    """A leaky bucket of requests: `size` at once, `restore` of them a second."""

    model: Literal["bucket"]
    size: Number
    restore: Number
    headers: Headers | None = None

    @property
    def amount(self) -> float:
        return self.restore


class CostLimit(_Limit):
    """A leaky bucket of points: each operation has its cost, `size` points at once, `restore` of them a second. What an
    operation costs is learned from answers; before, it is what `costs` says, else `most`, the dearest there may be."""

    model: Literal["cost"]
    size: Number
    restore: Number
    most: Number
    costs: Mapping[str, Number] = {}
    body: Body = Body()

    @property
    def amount(self) -> float:
        return self.restore


class ConcurrentLimit(_Limit):
    """So many requests `at_once`."""

    model: Literal["concurrent"]
    at_once: int = Field(gt=0)

    @property
    def amount(self) -> float:
        return self.at_once


Limit = Annotated[WindowLimit | BucketLimit | CostLimit | ConcurrentLimit, Field(discriminator="model")]
