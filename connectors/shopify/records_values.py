"""Values of a vendor payload, read one by one: every error names its place, as in `$.line_items[1].quantity`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

_PLAIN = re.compile(r"(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,12})?", re.ASCII).fullmatch


class RecordError(ValueError):
    """A payload that cannot be read as a record: `path` says where, `message` what was wrong."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


class PartsDiffer(Exception):
    """The parts of one order were read at different moments (their `updatedAt` differ): read them again."""


def plain_decimal(value: Any) -> str | None:
    """`decimal_text` of an ordinary amount in text (`37.10`), which needs no arithmetic; None for anything else."""
    return _plain(value) if type(value) is str else None


@lru_cache(maxsize=4096)
def _plain(text: str) -> str | None:
    if not _PLAIN(text):
        return None
    return text if "." not in text else text.rstrip("0").rstrip(".")


def decimal_text(value: Any, path: str) -> str:
    """One text for one number: `37.10` and `37.1` give `37.1`, `5.00` gives `5`, `-0.0` gives `0`."""
    plain = plain_decimal(value)
    if plain is not None:
        return plain
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        raise RecordError(path, f"{value!r} is not a decimal number")
    try:
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except InvalidOperation:
        raise RecordError(path, f"{value!r} is not a decimal number") from None
    if not number.is_finite() or abs(number.adjusted()) > 30:
        raise RecordError(path, f"{value!r} is not a decimal number that can be used")
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def instant_text(value: Any, path: str) -> str:
    """An ISO 8601 instant with its offset, as UTC to the second: `2026-11-24T08:12:31Z`."""
    try:
        instant = _instant(value)
    except (TypeError, ValueError):
        raise RecordError(path, f"{value!r} is not an ISO 8601 instant") from None
    if instant is None:
        raise RecordError(path, f"{value!r} has no offset from UTC")
    return instant


@lru_cache(maxsize=1024)
def _instant(text: str) -> str | None:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        return None
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def gid(kind: str, number: str) -> str:
    return f"gid://shopify/{kind}/{number}"


def legacy_id(global_id: str) -> str:
    """The number at the end of a GID, as text: `gid://shopify/Order/123?x=1` gives `123`."""
    return global_id.rsplit("/", 1)[-1].split("?", 1)[0]


class Node:
    """A JSON object of a payload and its path. The readers return None for an absent or null value unless `required`."""

    __slots__ = ("path", "value")

    def __init__(self, value: Any, path: str = "$") -> None:
        if not isinstance(value, dict):
            raise RecordError(path, f"an object was expected, not {type(value).__name__}")
        self.value: dict[str, Any] = value
        self.path = path

    def at(self, key: str) -> str:
        return f"{self.path}.{key}"

    def fail(self, key: str, message: str) -> RecordError:
        return RecordError(self.at(key), message)

    def get(self, key: str) -> Any:
        return self.value.get(key)

    def has(self, key: str) -> bool:
        return self.value.get(key) is not None

    def _required(self, key: str) -> Any:
        value = self.value.get(key)
        if value is None:
            raise self.fail(key, "missing")
        return value

    def child(self, key: str) -> Node | None:
        value = self.value.get(key)
        return None if value is None else Node(value, self.at(key))

    def children(self, key: str, required: bool = False) -> Iterator[Node]:
        value = self._required(key) if required else self.value.get(key)
        if value is None:
            return
        if not isinstance(value, list):
            raise self.fail(key, f"a list was expected, not {type(value).__name__}")
        for index, item in enumerate(value):
            yield Node(item, f"{self.path}.{key}[{index}]")

    def text(self, key: str, required: bool = False) -> str | None:
        value = self._required(key) if required else self.value.get(key)
        if value is not None and not isinstance(value, str):
            raise self.fail(key, f"{value!r} is not text")
        return value

    def required_text(self, key: str) -> str:
        value = self.text(key, required=True)
        assert value is not None
        return value

    def texts(self, key: str) -> list[str]:
        value = self.value.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.fail(key, "a list of texts was expected")
        return list(value)

    def flag(self, key: str) -> bool:
        value = self.value.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.fail(key, f"{value!r} is not true or false")
        return bool(value)

    def whole(self, key: str, required: bool = False) -> int | None:
        value = self._required(key) if required else self.value.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fail(key, f"{value!r} is not a whole number")
        return value

    def count(self, key: str) -> int:
        value = self.whole(key, required=True)
        assert value is not None
        return value

    def decimal(self, key: str, required: bool = False) -> str | None:
        value = self._required(key) if required else self.value.get(key)
        return None if value is None else decimal_text(value, self.at(key))

    def instant(self, key: str, required: bool = False) -> str | None:
        value = self._required(key) if required else self.value.get(key)
        return None if value is None else instant_text(value, self.at(key))

    def number_id(self, key: str, required: bool = False) -> str | None:
        """A numeric id as text. A float is refused: ids go above 2^53 and would have lost digits."""
        value = self._required(key) if required else self.value.get(key)
        if value is None:
            return None
        if isinstance(value, str) and value.isascii() and value.isdigit():
            return value
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.fail(key, f"{value!r} is not an id")
        return str(value)

    def gid(self, kind: str, key: str = "id", required: bool = True) -> str | None:
        """The GID of a webhook object: its `admin_graphql_api_id` for the object's own id, else made from the number."""
        number = self.number_id(key, required=required)
        if key == "id" and number is not None and isinstance(self.value.get("admin_graphql_api_id"), str):
            return str(self.value["admin_graphql_api_id"])
        return None if number is None else gid(kind, number)

    def reference(self, kind: str, key: str) -> dict[str, str] | None:
        """A reference `{"id": gid}` made from a numeric field, None when it is null."""
        number = self.number_id(key)
        return None if number is None else {"id": gid(kind, number)}

    def upper(self, key: str) -> str | None:
        """An enum value as GraphQL writes it: `partially_refunded` and `Refund discrepancy` in capitals with `_`."""
        value = self.text(key)
        return None if value is None else value.strip().upper().replace(" ", "_")
