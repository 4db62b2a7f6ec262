"""What is looked at after a hub was harmed, whatever harmed it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

Row = dict[str, Any]


def doubles(names: Iterable[str]) -> list[str]:
    """The names that are there more than once."""
    return [name for name, count in Counter(names).items() if count > 1]


def assert_only_mails_are_unproven(
    deliveries: Sequence[Row], questions: Sequence[Row], mails: Sequence[Row], seed: int
) -> None:
    """A mail that is not proven sent is a person's decision; everything else came to its end by itself."""
    unproven = [each for each in deliveries if each["state"] not in ("confirmed", "superseded")]
    assert {(each["operation"], each["state"]) for each in unproven} <= {("message.send", "uncertain")}, f"seed {seed}"
    asked = [each["reason"] for each in questions if each["kind"] == "delivery.uncertain"]
    assert len(asked) == len(unproven), f"seed {seed}"
    assert all(any(each["key"] in reason for reason in asked) for each in unproven), f"seed {seed}"
    assert doubles(each["message_id"] for each in mails) == [], f"seed {seed}"
