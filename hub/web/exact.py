"""Bodies that are read as they came, so that the numbers in them stay exact."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

from hub.connect import payload
from hub.connect.errors import Unreadable
from hub.workers.admin.errors import AdminError

Model = TypeVar("Model", bound=BaseModel)
_MAX_BODY = 64 * 1024 * 1024


async def _raw(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > _MAX_BODY:
            raise AdminError(f"the body is over {_MAX_BODY} bytes: send less at once")
        parts.append(part)
    return b"".join(parts)


Raw = Annotated[bytes, Depends(_raw)]


def read(model: type[Model], raw: bytes) -> Model:
    """The body of a request. Raises: AdminError with what does not fit."""
    try:
        return model.model_validate(payload.decode(raw))
    except Unreadable as error:
        raise AdminError(f"the body is {error}") from None
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise AdminError("the request does not fit", problems) from None


def described(model: type[BaseModel]) -> dict[str, Any]:
    """The description of such a body, for the list of routes."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}
