"""Accounts of the chart, looked up by name."""

from __future__ import annotations

from hub.connect.client import reading
from hub.connect.errors import Refused
from hub.connect.links import Link
from hub.connect.operations import Call, Confirmed

from .company import query


def find(link: Link, call: Call) -> Confirmed | None:
    """`account.find`: the account of a name."""
    found = query(link, "Account", "Name", str(call.body["Name"]))
    return Confirmed(str(found[0]["Id"]), found[0]) if found else None


def missing(link: Link, call: Call) -> Confirmed:
    """The hub makes no accounts: the chart is the accountant's."""
    raise Refused(
        f"{link.name}: the chart has no account {call.body['Name']!r}: make it in QuickBooks, or change the setting"
    )


def account_id(link: Link, name: str) -> str:
    """Id of an account. Raises: Refused."""
    found = query(link, "Account", "Name", name)
    if not found:
        raise Refused(f"{link.name}: the chart has no account {name!r}: make it in QuickBooks, or change the setting")
    return str(found[0]["Id"])


def check(link: Link) -> None:
    """The company answers and has the accounts of the settings. Raises: ConnectError."""
    for setting in ("income_account", "shipping_account", "deposit_account"):
        if name := link.settings.get(setting):
            reading(lambda name=name: account_id(link, str(name)))  # type: ignore[misc]
