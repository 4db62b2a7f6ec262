"""Our signed tokens, and forged ones."""

from __future__ import annotations

import base64
import contextlib
import json

import pytest
from jose import jwt

from hub.connect.tokens import TokenError, issue, verify

KEY = b"k" * 32


def test_a_token_says_what_it_was_given() -> None:
    token = issue(KEY, {"sub": "7"}, audience="session", lifetime_s=60)

    claims = verify(KEY, token, audience="session")

    assert claims["sub"] == "7"
    assert claims["exp"] - claims["iat"] == 60


def _unsigned(claims: dict[str, object]) -> str:
    parts = [{"alg": "none", "typ": "JWT"}, claims]
    return ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts) + "."


def test_what_is_not_ours_is_refused() -> None:
    good = {"sub": "7", "aud": "session", "iat": 1, "exp": 9_999_999_999}
    forged = {
        "another key": jwt.encode(good, b"x" * 32, algorithm="HS256"),
        "another algorithm": jwt.encode(good, KEY, algorithm="HS512"),
        "no algorithm": _unsigned(good),
        "another audience": jwt.encode(good | {"aud": "api"}, KEY, algorithm="HS256"),
        "several audiences": jwt.encode(good | {"aud": ["session", "api"]}, KEY, algorithm="HS256"),
        "no audience": jwt.encode({k: v for k, v in good.items() if k != "aud"}, KEY, algorithm="HS256"),
        "no end": jwt.encode({k: v for k, v in good.items() if k != "exp"}, KEY, algorithm="HS256"),
        "ended": jwt.encode(good | {"exp": 2}, KEY, algorithm="HS256"),
        "empty": "",
        "no token": "a.b.c",
    }
    taken = []
    for name, token in forged.items():
        with contextlib.suppress(TokenError):
            verify(KEY, token, audience="session")
            taken.append(name)
    assert taken == []


def test_a_short_key_signs_and_checks_nothing() -> None:
    with pytest.raises(ValueError, match="too short"):
        issue(b"short", {}, audience="session", lifetime_s=60)
    with pytest.raises(ValueError, match="too short"):
        verify(b"short", "a.b.c", audience="session")
    with pytest.raises(ValueError, match="aud"):
        issue(KEY, {"aud": "other"}, audience="session", lifetime_s=60)
