"""References: the place of an id that another system gives to something of ours."""

from __future__ import annotations

from typing import Any

from hub.mapping.fault import Fault, describe
from hub.mapping.functions import results
from hub.mapping.functions.registry import function, need_text

GROUP = "References"


@function(
    GROUP,
    ("ref('invoice', 7)", "{'$ref': 'invoice', 'key': '7', 'ensure': null, 'data': null}"),
    (
        "ref('item', 'MUG-01', 'item.ensure', {'Name': 'Mug'})['ensure']",
        "'item.ensure'",
    ),
    types="text, text|whole, text?, any -> any",
    result=results.reference,
)
def ref(kind: Any, key: Any, ensure: Any = None, data: Any = None) -> dict[str, Any]:
    """In the body of a delivery: the id that the other system gave to something of ours, put in just before sending.
    `kind` is what it is there, `key` our id of it; `ensure` names the operation that finds or creates it with `data`."""
    if type(key) not in (str, int):
        raise Fault(
            "null-value" if key is None else "type", f"ref needs a text or a whole number as key, not {describe(key)}"
        )
    named = None if ensure is None else need_text(ensure, "ref")
    return {"$ref": need_text(kind, "ref"), "key": str(key), "ensure": named, "data": data}
