"""Reads an expression's text into a Python syntax tree; what the tree may hold is decided in `compiler`.

A scan of our own comes first: it puts the text on one line (so that an offset is a column), keeps brackets closed and
shallow (Python's parser gives up on deep nesting in ways of its own), and names what looks like another language.
"""

from __future__ import annotations

import ast
import re
from functools import lru_cache

MAX_CHARACTERS = 10_000
MAX_BRACKETS = 50

_TOKEN = re.compile(
    r"""(?P<string>(?P<prefix>[fFrRbBuU]{1,2})?(?P<quote>'''|\"\"\"|'|"))
    | (?P<comment>\#[^\n]*)
    | (?P<break>[\r\n\t\f]+)
    | (?P<open>[(\[{]) | (?P<close>[)\]}])
    | (?P<foreign>&&|\|\||===|!(?!=)|[?$;`\\\x00-\x08\x0b\x0e-\x1f])
    | (?P<word>\w+)
    | (?P<other>.)""",
    re.VERBOSE,
)
_DIGITS = re.compile(r"[0-9][0-9_]*(?:[eE][0-9]*)?")
_ESCAPE = re.compile(r"""\\(?:[\\'"nrt]|u[0-9a-fA-F]{4})""")
_UNCLOSED = "inside { } of YAML an expression that holds a comma is quoted as a whole"
_CLOSES = {")": "(", "]": "[", "}": "{"}
_INSTEAD = {
    "&&": "write `and`",
    "||": "write `or`",
    "!": "write `not`",
    "===": "write ==",
    "?": "write `a if condition else b`; a dotted path passes over null by itself",
    "$": "a name stands without $",
    ";": "one expression only",
    "`": "a text stands in quotes",
}


class Refusal(Exception):
    """A text that is no expression of the language; `offset` is where in the text."""

    def __init__(self, offset: int, rule: str, message: str, hint: str = "") -> None:
        super().__init__(offset, rule, message, hint)
        self.offset = offset
        self.rule = rule
        self.message = message
        self.hint = hint


@lru_cache(maxsize=1024)
def parse(text: str) -> ast.expr:
    """The tree of an expression. Offsets in it are those of the text plus one (see `Spans`). It is shared by all that read
    it, so nobody changes it. Raises `Refusal`."""
    if not text.strip():
        raise Refusal(0, "syntax", "the expression is empty", "an empty text is written \"''\"")
    if len(text) > MAX_CHARACTERS:
        raise Refusal(0, "too-large", f"an expression of over {MAX_CHARACTERS:,} characters", "use let: for its parts")
    line = _scan(text)
    try:
        return ast.parse(f"({line})", mode="eval").body
    except SyntaxError as error:
        # Python counts from one, and the bracket put before the text makes up for that.
        offset = max(0, min((error.offset or 1) - 2, len(text) - 1))
        message = error.msg if "maximum recursion" not in error.msg else "the expression is nested too deeply"
        raise Refusal(
            offset, "syntax", message.split(". Maybe")[0].replace(" syntax", " syntax here"), _hint(text, error.msg)
        ) from None
    except (RecursionError, MemoryError):
        raise Refusal(0, "too-deep", "the expression is nested too deeply", "use let: for its parts") from None
    except (ValueError, UnicodeError):
        raise Refusal(0, "syntax", "the expression holds characters that cannot be read") from None


def _hint(text: str, message: str) -> str:
    if re.search(r"(?<![=!<>])=(?!=)", text):
        return "== compares; a named argument stands only in a call"
    if re.search(
        r"\.\s*(?:as|class|def|del|for|from|global|if|import|in|is|lambda|not|or|pass|return|with|yield)\b", text
    ):
        return 'a field with the name of a reserved word is read as x["from"]'
    if "forgot a comma" in message:
        return "an operator or a comma is missing"
    return ""


def _scan(text: str) -> str:
    """The text on one line, without comments; offsets stay."""
    out: list[str] = []
    open_at: list[tuple[str, int]] = []
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:  # a line break that `.` does not take, such as U+2028 never gets here: it is `other`
            raise Refusal(place, "syntax", f"{text[place]!r} is not part of the language")
        token, kind, end = found.group(), found.lastgroup, found.end()
        if found["string"]:
            end = _string(text, place, found)
            token = text[place:end]
        elif kind in ("comment", "break"):
            token = " " * len(token)
        elif kind == "open":
            open_at.append((token, place))
            if len(open_at) > MAX_BRACKETS:
                raise Refusal(place, "too-deep", f"over {MAX_BRACKETS} brackets open", "use let: for its parts")
        elif kind == "close":
            if not open_at or open_at.pop()[0] != _CLOSES[token]:
                raise Refusal(place, "syntax", f"{token} closes nothing")
        elif kind == "word" and token[0].isdigit() and not _DIGITS.fullmatch(token):
            raise Refusal(place, "syntax", f"{token[:40]!r} is neither a number nor a name", "numbers are decimal")
        elif kind == "foreign":
            raise Refusal(place, "syntax", f"{token!r} is not part of the language", _INSTEAD.get(token, ""))
        out.append(token)
        place = end
    if open_at:
        raise Refusal(open_at[-1][1], "syntax", f"{open_at[-1][0]} is never closed", _UNCLOSED)
    return "".join(out)


def _string(text: str, start: int, found: re.Match[str]) -> int:
    """The offset after the quoted text that starts here."""
    quote = found["quote"]
    if found["prefix"]:
        hint = (
            "join texts with +, e.g. 'N' + text(number)" if "f" in found["prefix"].lower() else "leave the prefix out"
        )
        raise Refusal(start, "not-allowed", f"{found['prefix']}-strings are not in the language", hint)
    if len(quote) == 3:
        raise Refusal(start, "not-allowed", "triple quotes are not in the language", "use one quote")
    place = found.end()
    while place < len(text):
        char = text[place]
        if char == quote:
            return place + 1
        if char in "\r\n":
            break
        if char == "\\":
            escape = _ESCAPE.match(text, place)
            if escape is None:
                raise Refusal(place, "syntax", "an unknown escape", r"known are \\ \' \" \n \r \t and \u00e9")
            place = escape.end()
        else:
            place += 1
    raise Refusal(start, "syntax", "the quoted text never ends")


class Spans:
    """Offsets into the text of the nodes of its tree: Python counts bytes, and `parse` put a bracket before."""

    def __init__(self, text: str) -> None:
        self._offsets: list[int] | None = None
        if not text.isascii():
            self._offsets = [at for at, char in enumerate(text) for _ in char.encode("utf-8", "surrogatepass")]
            self._offsets.append(len(text))

    def of(self, node: ast.expr) -> tuple[int, int]:
        """First offset of a node, and the one after its last."""
        return self._offset(node.col_offset), self._offset(node.end_col_offset or node.col_offset)

    def _offset(self, column: int) -> int:
        column = max(0, column - 1)
        if self._offsets is None:
            return column
        return self._offsets[min(column, len(self._offsets) - 1)]
