"""Signed tokens (JWT, HS256). The library would accept any algorithm and a key of one byte: here both are fixed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from jose import jwt
from jose.exceptions import JWTError

_ALGORITHM = "HS256"
_KEY_BYTES = 32
_OURS = frozenset({"aud", "exp", "iat"})


class TokenError(Exception):
    """A token that is not ours, not for this use, or too old."""


def issue(key: bytes, claims: Mapping[str, Any], *, audience: str, lifetime_s: int, now: float | None = None) -> str:
    """A token for one audience that ends after `lifetime_s` seconds."""
    if taken := _OURS & claims.keys():
        raise ValueError(f"{sorted(taken)} are set by the hub")
    issued = int(time.time() if now is None else now)
    body = {**claims, "aud": audience, "iat": issued, "exp": issued + lifetime_s}
    return str(jwt.encode(body, _checked(key), algorithm=_ALGORITHM))


def verify(keys: bytes | Sequence[bytes], token: str, *, audience: str) -> dict[str, Any]:
    """The claims of a token that the key, or one of several, signed. Raises: TokenError."""
    *before, last = [keys] if isinstance(keys, bytes) else keys
    for key in before:
        try:
            return _verified(key, token, audience)
        except TokenError:
            continue
    return _verified(last, token, audience)


def _verified(key: bytes, token: str, audience: str) -> dict[str, Any]:
    options = {"require_aud": True, "require_exp": True, "require_iat": True, "leeway": 0}
    try:
        claims = jwt.decode(token, _checked(key), algorithms=[_ALGORITHM], audience=audience, options=options)
    except JWTError as error:
        raise TokenError(f"the token is not valid: {error}") from None
    if claims.get("aud") != audience:  # the library also takes a list that holds it
        raise TokenError("the token is not valid: it is for another use")
    return dict(claims)


def _checked(key: bytes) -> bytes:
    if len(key) < _KEY_BYTES:
        raise ValueError(f"a key of {len(key)} bytes is too short to sign tokens: {_KEY_BYTES} are needed")
    return key
