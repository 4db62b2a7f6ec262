"""Functions on text, and between text and numbers."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from decimal import Decimal
from typing import Any

from hub.mapping.budget import charge_items, charge_text
from hub.mapping.fault import Fault, describe
from hub.mapping.functions import results
from hub.mapping.functions.registry import function, need_list, need_text, need_whole
from hub.mapping.numbers import bounded
from hub.records.money import Money

GROUP = "Text"

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?", re.ASCII)
_WORDS = re.compile(r"[a-z0-9]+", re.ASCII)
_MAX_WIDTH = 1000
_MAX_PART = 1_000_000


def _read(value: Any, what: str) -> str:
    text = need_text(value, what)
    charge_text(len(text))
    return text


@function(GROUP, ("upper('fr')", "'FR'"), types="text? -> text~")
def upper(value: Any) -> str | None:
    """Capital letters; null stays null."""
    return None if value is None else _read(value, "upper").upper()


@function(GROUP, ("lower('Ada@Example.ORG')", "'ada@example.org'"), types="text? -> text~")
def lower(value: Any) -> str | None:
    """Small letters; null stays null."""
    return None if value is None else _read(value, "lower").lower()


@function(GROUP, ("trim('  MUG-01 ')", "'MUG-01'"), types="text? -> text~")
def trim(value: Any) -> str | None:
    """Without spaces at both ends; null stays null."""
    return None if value is None else _read(value, "trim").strip()


@function(GROUP, ("replace('12,50', ',', '.')", "'12.50'"), types="text?, text, text -> text~")
def replace(value: Any, old: Any, new: Any) -> str | None:
    """Every `old` in a text replaced by `new`; null stays null."""
    if value is None:
        return None
    text, part, other = _read(value, "replace"), need_text(old, "replace"), need_text(new, "replace")
    if not part:
        raise Fault("value", "replace needs a text to look for")
    charge_text(len(text) + text.count(part) * max(0, len(other) - len(part)))
    return text.replace(part, other)


@function(GROUP, ("split('red,blue', ',')", "['red', 'blue']"), types="text?, text -> [text]")
def split(value: Any, separator: Any) -> list[str]:
    """The parts of a text between separators; null has none."""
    if value is None:
        return []
    text, by = _read(value, "split"), need_text(separator, "split")
    if not by:
        raise Fault("value", "split needs a separator")
    charge_items(text.count(by) + 1)
    return text.split(by)


@function(GROUP, ("join(['Ada', null, 'Byron'], ' ')", "'Ada Byron'"), types="[text?]?, text -> text")
def join(parts: Any, separator: Any) -> str:
    """Texts joined by a separator; null parts are left out."""
    texts = [need_text(part, "join") for part in need_list(parts, "join") if part is not None]
    by = need_text(separator, "join")
    charge_items(len(texts))
    charge_text(sum(map(len, texts)) + len(by) * len(texts))
    return by.join(texts)


@function(GROUP, ("starts_with('SHIP-12', 'SHIP')", "true"), types="text?, text -> bool")
def starts_with(value: Any, part: Any) -> bool:
    """Whether a text starts with another; null does not."""
    return value is not None and need_text(value, "starts_with").startswith(need_text(part, "starts_with"))


@function(GROUP, ("ends_with('label.pdf', '.pdf')", "true"), types="text?, text -> bool")
def ends_with(value: Any, part: Any) -> bool:
    """Whether a text ends with another; null does not."""
    return value is not None and need_text(value, "ends_with").endswith(need_text(part, "ends_with"))


@function(GROUP, ("contains('gift, urgent', 'urgent')", "true"), types="text?, text -> bool")
def contains(value: Any, part: Any) -> bool:
    """Whether a text contains another; null does not."""
    return value is not None and need_text(part, "contains") in _read(value, "contains")


@function(GROUP, ("left('75011 Paris', 5)", "'75011'"), types="text?, whole -> text~")
def left(value: Any, length: Any) -> str | None:
    """The first characters of a text; null stays null."""
    size = need_whole(length, "left", 0, _MAX_PART)
    return None if value is None else _read(value, "left")[:size]


@function(GROUP, ("right('FR7630006000', 4)", "'6000'"), types="text?, whole -> text~")
def right(value: Any, length: Any) -> str | None:
    """The last characters of a text; null stays null."""
    size = need_whole(length, "right", 0, _MAX_PART)
    return None if value is None else _read(value, "right")[max(0, len(value) - size) :]


@function(GROUP, ("pad(text(42), 6)", "'000042'"), ("pad('AB', 4, ' ')", "'  AB'"), types="text?, whole, text -> text~")
def pad(value: Any, width: Any, fill: Any = "0") -> str | None:
    """A text filled up at its left to a width; null stays null."""
    size, char = need_whole(width, "pad", 0, _MAX_WIDTH), need_text(fill, "pad")
    if len(char) != 1:
        raise Fault("value", "pad fills with one character")
    return None if value is None else _read(value, "pad").rjust(size, char)


@function(
    GROUP,
    ("text(1.10)", "'1.10'"),
    ("text(money(37.1, 'EUR'))", "'37.10'"),
    ("text(true)", "'true'"),
    types="text|number|bool|money? -> text~",
)
def text(value: Any) -> str | None:
    """Any single value as text: numbers with all their digits, money as its decimal amount; null stays null."""
    if value is None or type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int:
        return str(value)
    if isinstance(value, Money):
        return str(value.decimal())
    if isinstance(value, Decimal):
        bounded(value)
        return f"{value:f}"
    raise Fault("type", f"text cannot be made of {describe(value)}", "join(list, ', ') joins the texts of a list")


@function(
    GROUP,
    ("number('19.90') * 2", "39.80"),
    ("number('00042')", "42"),
    types="text|number? -> number~",
    result=results.number,
)
def number(value: Any) -> int | Decimal | None:
    """The exact number a text such as `-12.50` says; a number stays itself, null stays null."""
    if value is None or type(value) is int or type(value) is Decimal:
        return value
    digits = need_text(value, "number").strip() if len(need_text(value, "number")) <= 100 else ""
    found = _NUMBER.fullmatch(digits)
    if not found:
        hint = "replace(x, ',', '.') turns a decimal comma into a point" if "," in digits else ""
        raise Fault("value", f"{describe(value)} is not a number", hint)
    return Decimal(digits) if found[1] else int(digits)


@function(
    GROUP,
    ("last_segment('gid://shopify/Order/1001?x=2')", "'1001'"),
    ("last_segment('a.b.c', '.')", "'c'"),
    types="text?, text -> text~",
)
def last_segment(value: Any, separator: Any = "/") -> str | None:
    """What stands after the last separator, without a `?...` tail: the id in a global id; null stays null."""
    if value is None:
        return None
    by = need_text(separator, "last_segment")
    if not by:
        raise Fault("value", "last_segment needs a separator")
    return _read(value, "last_segment").partition("?")[0].rpartition(by)[2]


@function(GROUP, ("left(sha256('order 1001'), 8)", "'251b0096'"), types="text -> text")
def sha256(value: Any) -> str:
    """The SHA-256 of a text in UTF-8, as 64 hexadecimal digits."""
    return hashlib.sha256(_read(value, "sha256").encode()).hexdigest()


@function(GROUP, ("slug('Tasse à café — 25 cl')", "'tasse-a-cafe-25-cl'"), types="text? -> text~")
def slug(value: Any) -> str | None:
    """A text as a part of an address: small letters without accents and digits, with hyphens between; null stays null."""
    if value is None:
        return None
    plain = unicodedata.normalize("NFKD", _read(value, "slug")).encode("ascii", "ignore").decode().lower()
    return "-".join(_WORDS.findall(plain))


@function(
    GROUP,
    ("matches('SHIP-12-FR', 'SHIP-*-FR')", "true"),
    ("matches('MUG-01', '*-02')", "false"),
    types="text?, text -> bool",
)
def matches(value: Any, pattern: Any) -> bool:
    """Whether a text is like a pattern, in which `*` stands for any characters or none; capitals count. Null is not."""
    if value is None:
        return False
    text, (start, *parts) = _read(value, "matches"), need_text(pattern, "matches").split("*")
    charge_items(len(parts))
    if not parts:
        return text == start
    *middle, end = parts
    if not (text.startswith(start) and text.endswith(end) and len(text) >= len(start) + len(end)):
        return False
    # the first place that fits is as good as any later one: no part is ever tried again
    place, last = len(start), len(text) - len(end)
    for part in middle:
        place = text.find(part, place, last)
        if place < 0:
            return False
        charge_text(len(part))
        place += len(part)
    return True
