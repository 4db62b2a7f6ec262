"""What all parts of a manifest are: read strictly, unknown keys refused, never changed."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

#: `module:function` of the connector's folder
Code = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*:[a-z_][a-z0-9_]*$")]
#: of the models of each module, which share a base class of its own
STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)


def one_of(*names: str) -> dict[str, Any]:
    """For editors: exactly one of these is given. The models themselves say it with a message."""
    return {"oneOf": [{"required": [name]} for name in names]}
