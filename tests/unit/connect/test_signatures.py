"""Signatures of webhooks: who made them, over what, and when."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from hub.connect.signatures import Scheme, SignatureError, content, sign, verify

BODY = b'{"id":1}'
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STANDARD = Scheme(
    header="webhook-signature",
    prefix="v1,",
    content="{id}.{timestamp}.{body}",
    id_header="webhook-id",
    timestamp_header="webhook-timestamp",
    secret_encoding="base64",
    secret_prefix="whsec_",
)
NOW = 1614265330
HEADERS = {
    "Webhook-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "Webhook-Timestamp": str(NOW),
    # the example of the Standard Webhooks specification
    "Webhook-Signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
EXAMPLE = b'{"test": 2432232314}'


def test_the_example_of_standard_webhooks_is_right() -> None:
    verify(STANDARD, [SECRET], HEADERS, EXAMPLE, now=NOW)


def test_one_of_several_signatures_and_secrets_is_enough() -> None:
    several = HEADERS | {"Webhook-Signature": "v1,AAAA v2,BBBB " + HEADERS["Webhook-Signature"]}
    other = "whsec_" + base64.b64encode(b"x" * 24).decode()

    verify(STANDARD, [other, SECRET], several, EXAMPLE, now=NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"Webhook-Id": "msg_other"},
        {"Webhook-Id": ""},
        {"Webhook-Timestamp": str(NOW + 1)},
        {"Webhook-Timestamp": "١٦١٤"},
        {"Webhook-Timestamp": "-5"},
        {"Webhook-Timestamp": ""},
        {"Webhook-Signature": ""},
        {"Webhook-Signature": "v1,"},
        {"Webhook-Signature": "v2," + HEADERS["Webhook-Signature"][3:]},
        {"Webhook-Signature": HEADERS["Webhook-Signature"][3:]},
    ],
)
def test_anything_else_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(SignatureError):
        verify(STANDARD, [SECRET], HEADERS | changes, EXAMPLE, now=NOW)


@pytest.mark.parametrize("now", [NOW - 301, NOW + 301])
def test_an_old_or_early_webhook_is_refused(now: int) -> None:
    with pytest.raises(SignatureError, match="300 s"):
        verify(STANDARD, [SECRET], HEADERS, EXAMPLE, now=now)


@pytest.mark.parametrize("secrets", [[], [""], ["wrong"], ["whsec_not base64"]])
def test_no_right_secret_is_no_webhook(secrets: list[str]) -> None:
    with pytest.raises(SignatureError):
        verify(STANDARD, secrets, HEADERS, EXAMPLE, now=NOW)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("encoding", ["base64", "hex"])
def test_every_algorithm_and_encoding(algorithm: str, encoding: str) -> None:
    scheme = Scheme(header="x-signature", algorithm=algorithm, encoding=encoding, prefix="sha=")
    made = sign(scheme, "secret", BODY).decode()
    given = {"X-Signature": "sha=" + (made.upper() if encoding == "hex" else made)}

    verify(scheme, ["secret"], given, BODY)
    assert hmac.new(b"secret", BODY, algorithm).digest() in (
        bytes.fromhex(made) if encoding == "hex" else base64.b64decode(made),
    )
    with pytest.raises(SignatureError):
        verify(scheme, ["secret"], given, BODY + b" ")


def test_the_signed_text_is_bytes_as_they_came() -> None:
    assert content(STANDARD, b"\xff{id}", "m", "5") == b"m.5.\xff{id}"


@pytest.mark.parametrize(
    "wrong", [{"header": ""}, {"algorithm": "md5"}, {"encoding": "raw"}, {"secret_encoding": "rot13"}]
)
def test_a_scheme_that_cannot_be_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(SignatureError):
        Scheme(**{"header": "x", **wrong})  # type: ignore[arg-type]


def test_an_unsigned_hash_is_no_signature() -> None:
    scheme = Scheme(header="x", encoding="hex")
    with pytest.raises(SignatureError):
        verify(scheme, ["secret"], {"x": hashlib.sha256(BODY).hexdigest()}, BODY)
