"""The rule about secrets that stand in a file in clear."""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from hub.flows.lint.project import Project
from hub.flows.lint.rule import RULES, Rule
from hub.mapping import Document, Position, Problem
from hub.mapping.document import Path
from hub.mapping.syntax import Refusal, Spans, parse

_KNOWN = re.compile(
    r"""\b(?:shp(?:at|ss|ca|pa|ua|tka)_[0-9A-Za-z]{8,}          # Shopify
    | (?:sk|rk)_(?:live|test)_[0-9A-Za-z]{8,}                   # Stripe
    | whsec_[0-9A-Za-z+/=_-]{12,}                               # Standard Webhooks
    | (?:ghp|gho|ghs|github_pat|glpat)[_-][0-9A-Za-z_-]{16,}    # GitHub, GitLab
    | xox[abprs]-[0-9A-Za-z-]{10,}                              # Slack
    | (?:AKIA|ASIA)[0-9A-Z]{16}                                 # AWS
    | AIza[0-9A-Za-z_-]{30,}                                    # Google
    | eyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]*)  # JWT
    | \b(?:Bearer|Basic)\s+(?=\S*\d)[0-9A-Za-z+/=_.~-]{12,}
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----
    | \b[a-z][a-z0-9+.-]*://[^\s/:@{}]+:[^\s/@{}]+@""",
    re.VERBOSE,
)
_WORD = re.compile(
    r"(?:^|[_\-. ])(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|private[_-]?key|access[_-]?key|signing[_-]?key"
    r"|key|credentials?|authori[sz]ation)(?:$|[_\-. \d])",
    re.IGNORECASE,
)
#: names of something about a secret: `token_url`, `key_id`
_ABOUT = re.compile(r"[_-](?:id|url|uri|header|name|path|prefix|type|encoding)$", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
#: a text that could be a secret: no spaces, no path, no address, no place to fill
_OPAQUE = re.compile(r"[0-9A-Za-z+/=_.~!#$%^&*-]{12,}")
#: bits of a character: words have less
_RANDOM = 3.0


@RULES.in_document(
    id="secret-in-clear",
    finds="A text that is a secret: a token with a known beginning (`shpat_`, `shpss_`, `sk_live_`, `whsec_`, `ghp_`, `xoxb-`...), a "
    "`Bearer` or `Basic` credential, a private key, a password in an address; under a name like password, secret, token or "
    "key a text of 12 or more characters that looks random; in `connections.yaml` any value of a setting that is a secret. "
    "In flows, mappings, tests and `connections.yaml`.",
    place="the quoted text inside an expression; else the value",
    why="These files go to Git and to everyone who works on them. Whoever has the token has the shop.",
    mend="Give it to the vault, `hub connections secrets NAME SETTING`, and change it at the vendor: it has been seen.",
    example="""\
flow: example
on: {event: invoice.issued}
steps:
  - deliver:
      role: target
      operation: request
      key: invoice.number
      body: "{'path': '/invoices', 'headers': {'authorization': 'Bearer 5f2a9c71d04e8b63'}}"
allow: {ladder-none: they tell repeats by the number}
""",
)
def secret_in_clear(rule: Rule, project: Project, document: Document) -> Iterator[Problem]:
    sealed = dict(_sealed(project, document))
    # what stands there without quotes is a path, whatever it looks like
    is_code = isinstance(document.value, dict) and bool({"flow", "mapping"} & document.value.keys())
    for path, value in _texts(document.value, ()):
        name = next((part for part in reversed(path) if isinstance(part, str)), "")
        found = _in_expression(document, path, value, name)
        if found is None and (_KNOWN.search(value) or (not is_code and _secret(value, name)) or path in sealed):
            found = document.position(path)
        if found is not None:
            hint = sealed.get(path, "put it into the vault with `hub connections secrets`")
            yield rule.at(found, "a secret stands here in clear", hint)


def _sealed(project: Project, document: Document) -> Iterator[tuple[Path, str]]:
    """The settings of `connections.yaml` that are secrets, and the command that takes each."""
    connections = document.value.get("connections") if isinstance(document.value, dict) else None
    for name, spec in connections.items() if isinstance(connections, dict) else ():
        settings = spec.get("settings") if isinstance(spec, dict) else None
        manifest = project.manifests.get(str(spec.get("connector"))) if isinstance(spec, dict) else None
        if isinstance(settings, dict) and manifest is not None:
            for setting in settings.keys() & manifest.secret_names():
                yield ("connections", name, "settings", setting), f"hub connections secrets {name} {setting}"


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*path, index))


def _in_expression(document: Document, path: Path, value: str, name: str) -> Position | None:
    """Where a quoted text of an expression is a secret."""
    if not ("'" in value or '"' in value):
        return None
    try:
        tree = parse(value)
    except Refusal:
        return None
    for literal, beside in _literals(tree, name):
        if _secret(literal.value, beside):
            return document.position(path).inside(Spans(value).of(literal)[0], value)
    return None


def _literals(node: ast.AST, name: str) -> Iterator[tuple[Any, str]]:
    """The texts in an expression, each with the name it stands beside: its key in an object, else what it is for."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield node, name
    elif isinstance(node, ast.Dict):
        for key, inner in zip(node.keys, node.values, strict=True):
            beside = key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else name
            yield from _literals(inner, beside)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _literals(child, name)


def _secret(text: str, name: str) -> bool:
    if _KNOWN.search(text):
        return True
    # the key of a `deliver` names what is written
    if name == "key" or _ABOUT.search(name) or not _WORD.search(_CAMEL.sub("_", name)) or not _OPAQUE.fullmatch(text):
        return False
    return _random(text)


def _random(text: str) -> bool:
    counts = Counter(text)
    bits = -sum(count / len(text) * math.log2(count / len(text)) for count in counts.values())
    mixed = any(char.isdigit() for char in text) and any(char.isalpha() for char in text)
    return mixed and bits >= _RANDOM
