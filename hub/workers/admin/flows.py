"""Flows, mappings and connectors: loading them again. How they are linted is in `lint.py`."""

from __future__ import annotations

from typing import Any

from hub.workers.hub import Hub


def reload(hub: Hub) -> dict[str, Any]:
    """Reads flows, mappings, connections and roles again; a flow that does not lint is refused, its last version goes on."""
    return {"problems": [str(problem) for problem in hub.reload()]}
