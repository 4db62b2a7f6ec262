"""What many routes ask for alike: strict bodies, who is asking, and what a list is narrowed by."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import Depends, Header, Query
from pydantic import BaseModel, ConfigDict

from hub.workers.admin.errors import AdminError

_NAME = re.compile(r"[\w][\w.:@+-]{0,59}")


class Body(BaseModel):
    """A body with no other fields than those named."""

    model_config = ConfigDict(strict=True, extra="forbid")


def _by(x_hub_by: Annotated[str | None, Header(description="who is asking, for the record")] = None) -> str:
    """Who is asking, as the program with the token says it."""
    if x_hub_by is None:
        return "api"
    if not _NAME.fullmatch(x_hub_by):
        raise AdminError("X-Hub-By is no name: up to 60 letters, digits and .:@+-")
    return x_hub_by


By = Annotated[str, Depends(_by)]


def _narrowed(
    error_class: Annotated[str | None, Query(description="class of error, such as `mapping`")] = None,
    connection: Annotated[str | None, Query(description="name or id of a connection")] = None,
    flow: str | None = None,
    since: Annotated[str | None, Query(description="a day, or an instant with its offset")] = None,
    until: Annotated[str | None, Query(description="before this day or instant")] = None,
) -> dict[str, Any]:
    return {"error_class": error_class, "connection": connection, "flow": flow, "since": since, "until": until}


Narrowed = Annotated[dict[str, Any], Depends(_narrowed)]
