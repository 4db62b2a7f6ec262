"""The `proof` of an operation in `connector.yaml`: how what it made is listed there, and what must be the same."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hub.connect.strict import STRICT, Code, one_of
from hub.mapping import Expression, Position, compile_expression

#: what places of a proof's path and query may name, beside settings
PLACES = ("since", "page", "offset", "cursor", "size")


class Strict(BaseModel):
    model_config = STRICT


class Paging(Strict):
    """How a list goes on. `page` counts pages and `offset` records, from `first`; `cursor` is read from the answer."""

    by: Literal["page", "offset", "cursor"]
    #: records on a page; a page with fewer is the last
    size: int = Field(ge=1)
    first: int = 1
    #: path of the next cursor in the answer; nothing there: it was the last page
    next: str = ""

    @model_validator(mode="after")
    def _cursor(self) -> Paging:
        if (self.by == "cursor") != bool(self.next):
            raise ValueError("`next` goes with `by: cursor`")
        return self


class Compared(Strict):
    """A value that must be the same on both sides: two expressions, over the record there and over the body we sent."""

    there: str
    here: str


class Proof(Strict):
    """How `hub prove --remote` lists what is there: with GETs, or with code `list(link, since, cursor)`.

    Places of `path` and `query`: settings, `since`, `page`, `offset`, `cursor`, `size`."""

    model_config = ConfigDict(json_schema_extra=one_of("code", "path"))

    code: Code | None = None
    path: str = ""
    query: dict[str, str] = {}
    #: path of the records in the answer; empty: it is the list
    items: str = ""
    paging: Paging | None = None
    #: path of a record's id there, which is the external id of the effect
    id: str = "id"
    #: path (or a text with places) in a record of what no two of ours share
    key: str = ""
    #: the same in the body we sent, where it stands elsewhere
    key_here: str = ""
    #: path in a record -> pattern that it fits when the hub made it: one that fits and is unknown to the hub is a fault
    mine: dict[str, str] = {}
    #: name -> a value that must be the same there and here
    same: dict[str, Compared] = {}

    @field_validator("mine")
    @classmethod
    def _patterns(cls, value: dict[str, str]) -> dict[str, str]:
        for pattern in value.values():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Proof:
        if bool(self.code) == bool(self.path):
            raise ValueError("give `code` or `path`, one of the two")
        return self


@lru_cache(maxsize=256)
def expression(text: str) -> Expression:
    """The expression of a `same`, over the fields of a record. Raises: SourceError."""
    return compiled(text, Position("connector.yaml", 1, 1))


def compiled(text: str, position: Position) -> Expression:
    """The same with the place where it stands, for errors. Raises: SourceError."""
    return compile_expression(text, position, fields_of="record")
