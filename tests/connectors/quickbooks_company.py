"""A client of one company of the QuickBooks sandbox, and the bodies that tests send to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx2

REALM = "9341453000000001"
BASE = f"/v3/company/{REALM}"
START = datetime(2026, 11, 24, 9, tzinfo=UTC)
CALLBACK = "http://127.0.0.1:8484/oauth/callback?from=quickbooks"
TOKEN_PATH = "/oauth2/v1/tokens/bearer"
# the ids of the seeded chart and codes
TVA_20, TVA_10, TVA_0 = "1", "2", "5"


class Clock:
    """A clock that stands still until moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Company:
    """A client of one company: posts, and reads answers with exact numbers."""

    def __init__(self, client: httpx2.Client) -> None:
        self.http = client
        grant = client.post("/_sandbox/grant").json()
        client.headers["authorization"] = f"Bearer {grant['access_token']}"

    def post(self, path: str, body: Any, **query: str) -> httpx2.Response:
        return self.http.post(f"{BASE}/{path}", json=body, params=query)

    def make(self, path: str, body: Any, **query: str) -> dict[str, Any]:
        answer = self.post(path, body, **query)
        assert answer.status_code == 200, answer.text
        (name,) = set(exact(answer)) - {"time"}
        return exact(answer)[name]

    def refused(self, path: str, body: Any, **query: str) -> tuple[str, str]:
        """Code and Detail of a refusal."""
        answer = self.post(path, body, **query)
        assert answer.status_code == 400, answer.text
        fault = answer.json()["Fault"]
        assert fault["type"] == "ValidationFault"
        return fault["Error"][0]["code"], fault["Error"][0]["Detail"]

    def read(self, path: str, identity: str) -> dict[str, Any]:
        answer = exact(self.http.get(f"{BASE}/{path}/{identity}"))
        (name,) = set(answer) - {"time"}
        return answer[name]

    def query(self, text: str) -> dict[str, Any]:
        answer = self.http.get(f"{BASE}/query", params={"query": text})
        assert answer.status_code == 200, answer.text
        return exact(answer)["QueryResponse"]

    def state(self) -> dict[str, Any]:
        return exact(self.http.get("/_sandbox/state"))

    def customer(self, name: str = "Camille Exemple", **more: Any) -> str:
        return self.make("customer", {"DisplayName": name, **more})["Id"]


def exact(answer: httpx2.Response) -> Any:
    return json.loads(answer.content, parse_float=Decimal)


def line(amount: str, code: str | None = TVA_20, **detail: Any) -> dict[str, Any]:
    code_ref = {"TaxCodeRef": {"value": code}} if code else {}
    return {
        "Amount": float(amount),
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {"ItemRef": {"value": "1"}, **code_ref, **detail},
    }


def discount(amount: str) -> dict[str, Any]:
    detail = {"PercentBased": False}
    return {"Amount": float(amount), "DetailType": "DiscountLineDetail", "DiscountLineDetail": detail}


def percent_discount(percent: int) -> dict[str, Any]:
    detail = {"PercentBased": True, "DiscountPercent": percent}
    return {"DetailType": "DiscountLineDetail", "DiscountLineDetail": detail}


def sale(customer: str, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"CustomerRef": {"value": customer}, "GlobalTaxCalculation": "TaxExcluded"}
    return body | {"Line": list(lines) or [line("100")]} | more


def paid(customer: str, total: str, *links: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    lines = [
        {"Amount": float(amount), "LinkedTxn": [{"TxnId": identity, "TxnType": kind}]}
        for kind, identity, amount in links
    ]
    return {"CustomerRef": {"value": customer}, "TotalAmt": float(total), "Line": lines} | more


def taxes(document: dict[str, Any]) -> dict[str, tuple[Decimal, Decimal]]:
    """Rate -> net and tax."""
    return {
        each["TaxLineDetail"]["TaxRateRef"]["name"]: (each["TaxLineDetail"]["NetAmountTaxable"], each["Amount"])
        for each in document["TxnTaxDetail"].get("TaxLine", [])
    }


def override(**by_rate: str) -> dict[str, Any]:
    """A TxnTaxDetail with the caller's own figures; the keys are r1, r2... by id of the rate."""
    return {
        "TaxLine": [
            {
                "Amount": float(amount),
                "DetailType": "TaxLineDetail",
                "TaxLineDetail": {"TaxRateRef": {"value": rate[1:]}, "PercentBased": True},
            }
            for rate, amount in by_rate.items()
        ]
    }


def posting(side: str, account: str, amount: str, customer: str | None = None) -> dict[str, Any]:
    detail: dict[str, Any] = {"PostingType": side, "AccountRef": {"value": account}}
    if customer:
        detail["Entity"] = {"Type": "Customer", "EntityRef": {"value": customer}}
    return {"Amount": float(amount), "DetailType": "JournalEntryLineDetail", "JournalEntryLineDetail": detail}
