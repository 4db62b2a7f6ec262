"""What stands for people in a captured test.

A pseudonym is made from a keyed hash of what it
stands for: the same person is the same in every field and every file, and nobody without the key can tell who it was."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Any

from hub.observe.personal import EMAIL, PHONE, kind_of

_FIRST = "Ada Basile Camille Denis Elise Felix Gaspard Helene Ines Jonas Karim Lena Marius Nadia Oscar Prune Remy Sonia".split()
_LAST = "Abel Bastide Corbin Dulac Estève Fabre Garnot Hamel Isnard Jolivet Kessler Lorrain Morvan Nodier Ozanne Perrot".split()
_STREETS = (
    "rue des Exemples,avenue du Modèle,place de la Maquette,allée des Essais,quai du Gabarit,rue du Patron".split(",")
)
_CITIES = "Exempleville Modelbourg Essaimont Maquetteau Patronville Gabarit-sur-Mer".split()
#: postcodes outside the VAT territory of their state, which decide how an order is taxed
_KEPT_ZIPS = frozenset({"23041", "22061", "78266", "27498"})
_VAT = re.compile(r"[A-Za-z]{2}[ .-]?[0-9A-Za-z .-]{4,16}")


class Pseudonyms:
    """What stands for whom. `known`: what was replaced, with what."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"hub capture pseudonyms", hashlib.sha256)
        self.known: dict[str, str] = {}
        self._makers: dict[str, Callable[[str], str]] = {
            "email": self._email,
            "phone": lambda text: (
                f"{'+33 ' if text.startswith('+') else '0'}1 99 00 {self._digits(text, 2)} {self._digits('b' + text, 2)}"
            ),
            "first": lambda text: self._one(_FIRST, "first", text),
            "last": lambda text: self._one(_LAST, "last", text),
            "name": self._name,
            "company": lambda text: f"{self._one(_LAST, 'company', text)} {self._digits(text, 3)} SARL",
            "street": lambda text: f"{1 + self._number('number', text) % 98} {self._one(_STREETS, 'street', text)}",
            "city": lambda text: self._one(_CITIES, "city", text),
            "zip": self._zip,
            "text": lambda text: f"(text {self._digits(text, 4)})",
            "answer": lambda text: (
                self._vat(text)
                if _VAT.fullmatch(text) and any(map(str.isdigit, text))
                else f"(text {self._digits(text, 4)})"
            ),
            "vat": self._vat,
        }

    def record(self, value: Any, inside: str = "") -> Any:
        """A record with pseudonyms in place of what is about people; numbers, SKUs and ids stay."""
        if isinstance(value, dict):
            return {name: self._field(name, each, inside) for name, each in value.items()}
        if isinstance(value, list):
            return [self.record(each, inside) for each in value]
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        """Any text, with the second net: mail addresses, telephone numbers, and what was replaced elsewhere."""
        text = EMAIL.sub(lambda found: self.of("email", found[0]), text)
        text = PHONE.sub(lambda found: self.of("phone", found[0]), text)
        return self._again(text)

    def again(self, value: Any) -> Any:
        """What was replaced in a record is replaced here too: a name in a letter, a street on one line with its number."""
        if isinstance(value, dict):
            return {name: self.again(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.again(each) for each in value]
        return self._again(value) if isinstance(value, str) else value

    def _again(self, text: str) -> str:
        for real in sorted(self.known, key=len, reverse=True):
            if len(real) > 2 and real.casefold() in text.casefold():
                text = re.sub(rf"(?<!\w){re.escape(real)}(?!\w)", self._instead, text, flags=re.IGNORECASE)
        return text

    def _instead(self, found: re.Match[str]) -> str:
        same = (made for real, made in self.known.items() if real.casefold() == found[0].casefold())
        return next(same, "(text)")

    def leaks(self, text: str) -> list[str]:
        """What is still about people in a text that is to be written: fields and kinds, never the values."""
        made = {each.casefold() for each in self.known.values()}
        found = [
            real
            for real in self.known
            if len(real) > 3
            and not real.isdigit()
            and real.casefold() not in made
            and re.search(rf"(?<!\w){re.escape(real)}(?!\w)", text, re.IGNORECASE)
        ]
        mails = [each for each in EMAIL.findall(text) if not each.endswith("@example.org")]
        return [f"{len(found)} names or addresses"] * bool(found) + [f"{len(mails)} mail addresses"] * bool(mails)

    def of(self, kind: str, text: str) -> str:
        """The pseudonym of one value."""
        text = text.strip()
        if not text or text in self.known.values():
            return text
        if text not in self.known:
            self.known[text] = self._makers[kind](text)
        return self.known[text]

    def _field(self, name: str, value: Any, inside: str) -> Any:
        plain = name.replace("_", "").casefold()
        kind = kind_of(plain, inside)
        if kind == "gone":
            return None
        if kind in (None, "kept") or not isinstance(value, (str, int)) or isinstance(value, bool):
            return self.record(value, plain)
        return self.of(kind, value) if isinstance(value, str) else value

    def _number(self, kind: str, text: str) -> int:
        spoken = " ".join(text.split()).casefold()
        return int.from_bytes(hmac.digest(self._key, f"{kind}:{spoken}".encode(), hashlib.sha256)[:8], "big")

    def _one(self, words: list[str], kind: str, text: str) -> str:
        """One of several words, another than the text itself."""
        others = [word for word in words if word.casefold() not in text.casefold()]
        return others[self._number(kind, text) % len(others)]

    def _digits(self, text: str, count: int) -> str:
        return str(self._number("digits", text) % 10**count).zfill(count)

    def _email(self, text: str) -> str:
        return f"person-{self._number('email', text):016x}@example.org"

    def _name(self, text: str) -> str:
        """Word by word, so that a full name is that of its parts."""
        first, *rest = text.split()
        return " ".join([self.of("first", first), *(self.of("last", word) for word in rest)])

    def _zip(self, text: str) -> str:
        """The region stays, which taxes depend on; the rest does not."""
        kept = 3 if text[:2] in ("97", "98") else 2
        if text in _KEPT_ZIPS or not text.isdigit():
            return text if text in _KEPT_ZIPS else text[:2] + self._digits(text, max(1, len(text) - 2))
        return text[:kept] + self._digits(text, max(1, len(text) - kept))[: len(text) - kept]

    def _vat(self, text: str) -> str:
        """The country stays, the number does not."""
        return text[:2].upper() + "".join(
            self._digits(f"{place}{text}", 1) if each.isdigit() else each for place, each in enumerate(text[2:])
        )
