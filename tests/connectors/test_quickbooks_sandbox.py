"""The QuickBooks sandbox over real sockets: OAuth, lists, documents, taxes, payments, queries, repeats and planted faults."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.connectors.serving import Receiver, Swap, load, serving

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


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Swap, str]]:
    swap = Swap()
    with serving(swap) as base:
        yield swap, base


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def start(server: tuple[Swap, str], clock: Clock) -> Iterator[Any]:
    """Starts a sandbox with settings and gives a client of it."""
    swap, base = server
    with httpx2.Client(base_url=base) as client:

        def make(**settings: Any) -> Company:
            swap.app = load("quickbooks").create("id", "secret", clock=clock, **settings)
            return Company(client)

        yield make


@pytest.fixture
def company(start: Any) -> Company:
    return start()


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


# -- OAuth ----------------------------------------------------------------------------------------------------------------


def consent(client: httpx2.Client, decision: str = "approve", **change: str) -> httpx2.Response:
    asked = {
        "client_id": "id",
        "response_type": "code",
        "scope": "com.intuit.quickbooks.accounting",
        "redirect_uri": CALLBACK,
        "state": "s-1",
    } | change
    page = client.get("/connect/oauth2", params=asked)
    if page.status_code != 200:
        return page
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
    assert fields.pop("decision") in ("approve", "deny")
    fields = {name: value.replace("&amp;", "&") for name, value in fields.items()}
    return client.post("/connect/oauth2", data={**fields, "decision": decision})


def code_of(answer: httpx2.Response) -> str:
    return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


def exchange(client: httpx2.Client, **form: str) -> httpx2.Response:
    return client.post(TOKEN_PATH, data=form, auth=("id", "secret"))


def refresh(client: httpx2.Client, token: str) -> httpx2.Response:
    return exchange(client, grant_type="refresh_token", refresh_token=token)


def read_company(client: httpx2.Client, token: str) -> httpx2.Response:
    return client.get(f"{BASE}/companyinfo/{REALM}", headers={"authorization": f"Bearer {token}"})


def test_consent_gives_a_code_for_tokens(company: Company) -> None:
    client = company.http

    back = consent(client)

    query = parse_qs(urlsplit(back.headers["location"]).query)
    assert back.status_code == 302
    assert back.headers["location"].startswith("http://127.0.0.1:8484/oauth/callback?from=quickbooks&code=")
    assert (query["state"], query["realmId"]) == (["s-1"], [REALM])
    form = {"grant_type": "authorization_code", "code": query["code"][0], "redirect_uri": CALLBACK}
    tokens = exchange(client, **form)
    assert tokens.status_code == 200
    assert set(tokens.json()) == {
        *("token_type", "access_token", "expires_in", "refresh_token", "x_refresh_token_expires_in")
    }
    assert (tokens.json()["expires_in"], tokens.json()["x_refresh_token_expires_in"]) == (3600, 8726400)
    assert read_company(client, tokens.json()["access_token"]).json()["CompanyInfo"]["CompanyName"] == "Sandbox Company"
    again = exchange(client, **form)
    assert (again.status_code, again.json()) == (400, {"error": "invalid_grant"})


def test_a_code_is_bound_to_its_redirect_and_lives_shortly(company: Company, clock: Clock) -> None:
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK}
    code = code_of(consent(company.http))
    assert exchange(company.http, **form | {"redirect_uri": "http://other/"}, code=code).status_code == 400
    code = code_of(consent(company.http))
    clock.now += timedelta(minutes=6)
    assert exchange(company.http, **form, code=code).json() == {"error": "invalid_grant"}


def test_consent_can_be_refused_and_is_checked(start: Any) -> None:
    client = start(redirect_uris=[CALLBACK]).http

    denied = consent(client, decision="deny")

    assert parse_qs(urlsplit(denied.headers["location"]).query)["error"] == ["access_denied"]
    assert consent(client, client_id="other").status_code == 400
    assert consent(client, redirect_uri="http://elsewhere/").status_code == 400
    assert consent(client, response_type="token").status_code == 400
    assert consent(client, scope="").status_code == 400


def test_the_consent_page_escapes_what_it_is_given(company: Company) -> None:
    asked = {
        "client_id": "id",
        "response_type": "code",
        "scope": "<b>",
        "redirect_uri": CALLBACK,
        "state": '"><script>',
    }

    page = company.http.get("/connect/oauth2", params=asked).text

    assert "<script>" not in page
    assert "<b>" not in page


def test_a_refresh_rotates_and_the_old_token_dies(company: Company) -> None:
    client = company.http
    first = client.post("/_sandbox/grant").json()

    second = refresh(client, first["refresh_token"]).json()

    assert second["refresh_token"] != first["refresh_token"]
    dead = refresh(client, first["refresh_token"])
    assert (dead.status_code, dead.json()) == (400, {"error": "invalid_grant"})
    assert refresh(client, second["refresh_token"]).status_code == 200
    assert read_company(client, second["access_token"]).status_code == 200


def test_the_old_refresh_token_may_have_a_grace(start: Any, clock: Clock) -> None:
    client = start(refresh_grace_seconds=60).http
    first = client.post("/_sandbox/grant").json()["refresh_token"]
    second = refresh(client, first).json()["refresh_token"]

    clock.now += timedelta(seconds=59)
    assert refresh(client, first).json()["refresh_token"] == second
    clock.now += timedelta(seconds=2)
    assert refresh(client, first).status_code == 400


def test_refresh_tokens_may_stay_the_same_and_die_unused(start: Any, clock: Clock) -> None:
    client = start(rotate=False).http
    token = client.post("/_sandbox/grant").json()["refresh_token"]
    assert refresh(client, token).json()["refresh_token"] == token

    clock.now += timedelta(days=102)

    assert refresh(client, token).json() == {"error": "invalid_grant"}


def test_client_credentials_are_needed(company: Company) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "x"}

    wrong = company.http.post(TOKEN_PATH, data=form, auth=("id", "wrong"))

    assert (wrong.status_code, wrong.json()) == (401, {"error": "invalid_client"})
    in_form = {**form, "client_id": "id", "client_secret": "secret"}
    del company.http.headers["authorization"]
    assert company.http.post(TOKEN_PATH, data=in_form).json() == {"error": "invalid_grant"}
    assert exchange(company.http, grant_type="password").json() == {"error": "unsupported_grant_type"}


def test_an_access_token_expires(company: Company, clock: Clock) -> None:
    assert company.http.get(f"{BASE}/companyinfo/{REALM}").status_code == 200
    clock.now += timedelta(seconds=3600)

    answer = company.http.get(f"{BASE}/companyinfo/{REALM}")

    assert answer.status_code == 401
    assert answer.json()["fault"]["type"] == "AUTHENTICATION"
    assert answer.json()["fault"]["error"][0]["code"] == "3200"
    assert "intuit_tid" in answer.headers


def test_tokens_can_be_killed_from_outside(company: Company) -> None:
    grant = company.http.post("/_sandbox/grant").json()
    assert company.http.post("/_sandbox/expire").json() == {"expired": 2}
    assert read_company(company.http, grant["access_token"]).status_code == 401
    grant = refresh(company.http, grant["refresh_token"]).json()
    assert read_company(company.http, grant["access_token"]).status_code == 200

    company.http.post("/_sandbox/expire", json={"refresh": True})

    assert refresh(company.http, grant["refresh_token"]).json() == {"error": "invalid_grant"}


def test_a_revoked_grant_is_dead(company: Company) -> None:
    grant = company.http.post("/_sandbox/grant").json()
    path, auth = "/v2/oauth2/tokens/revoke", ("id", "secret")

    assert company.http.post(path, json={"token": grant["refresh_token"]}, auth=auth).status_code == 200

    assert read_company(company.http, grant["access_token"]).status_code == 401
    assert refresh(company.http, grant["refresh_token"]).status_code == 400
    assert company.http.post(path, json={"token": "x"}, auth=auth).status_code == 400


def test_the_discovery_document_names_the_addresses(company: Company) -> None:
    document = company.http.get("/.well-known/openid_configuration").json()

    assert urlsplit(document["token_endpoint"]).path == TOKEN_PATH
    assert company.http.get(document["authorization_endpoint"]).status_code == 400


def test_another_company_is_refused(company: Company) -> None:
    answer = company.http.get("/v3/company/1/companyinfo/1")

    assert (answer.status_code, answer.json()["fault"]["error"][0]["code"]) == (403, "3100")


# -- lists ----------------------------------------------------------------------------------------------------------------


def test_a_customer_is_created_read_and_changed_sparsely(company: Company, clock: Clock) -> None:
    body = {"DisplayName": "SARL Exemple #42", "PrimaryEmailAddr": {"Address": "compta@example.com"}}
    made = company.make("customer", body, minorversion="75")
    assert (made["Id"], made["SyncToken"], made["CurrencyRef"]) == ("1", "0", {"value": "EUR", "name": "Euro"})
    assert made["MetaData"]["CreateTime"] == "2026-11-24T01:00:00-08:00"
    clock.now += timedelta(minutes=30)

    change = {"Id": "1", "SyncToken": "0", "sparse": True, "Notes": "VIP"}
    changed = company.make("customer", change)

    assert (changed["SyncToken"], changed["Notes"]) == ("1", "VIP")
    assert changed["PrimaryEmailAddr"] == {"Address": "compta@example.com"}
    assert changed["MetaData"]["LastUpdatedTime"] == "2026-11-24T01:30:00-08:00"
    assert company.read("customer", "1") == changed
    full = {"Id": "1", "SyncToken": "1", "DisplayName": "SARL Exemple #42"}
    assert "Notes" not in company.make("customer", full)


def test_a_stale_token_is_refused(company: Company) -> None:
    identity = company.customer()
    company.make("customer", {"Id": identity, "SyncToken": "0", "sparse": True, "Notes": "A"})

    code, detail = company.refused("customer", {"Id": identity, "SyncToken": "0", "sparse": True, "Notes": "B"})

    assert code == "5010"
    assert "SyncToken is 1" in detail
    assert company.refused("customer", {"Id": identity, "sparse": True})[0] == "2020"
    assert company.refused("customer", {"Id": "99", "SyncToken": "0"})[0] == "610"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"DisplayName": "camille exemple"}, "6240"),
        ({"DisplayName": "A:B"}, "2030"),
        ({"DisplayName": "A\tB"}, "2030"),
        ({"DisplayName": "x" * 501}, "2030"),
        ({"Notes": "no name"}, "2020"),
        ({"DisplayName": "B", "Colour": "red"}, "2010"),
        ({"DisplayName": "B", "BillAddr": {"Street": "x"}}, "2010"),
        ({"DisplayName": "B", "CurrencyRef": {"value": "USD"}}, "6000"),
        ({"DisplayName": "B", "Active": "perhaps"}, "2030"),
    ],
)
def test_a_customer_that_does_not_fit_is_refused(company: Company, body: dict[str, Any], code: str) -> None:
    company.customer()

    assert company.refused("customer", body)[0] == code
    assert len(company.state()["customer"]) == 1


def test_an_address_may_be_longer_than_usual_but_a_body_must_be_json(company: Company) -> None:
    answer = company.http.post(f"{BASE}/customer", content=b"<Customer/>")

    assert (answer.status_code, answer.json()["Fault"]["Error"][0]["code"]) == (400, "2030")


def test_items_need_what_their_type_needs(company: Company) -> None:
    account = {"IncomeAccountRef": {"value": "2"}}
    made = company.make("item", {"Name": "Crème 50 ml", "Sku": "CR-50", "Type": "NonInventory", **account})
    assert made["IncomeAccountRef"]["name"] == "Sales of Product Income"
    assert company.refused("item", {"Name": "Crème 50 ml", "Type": "NonInventory", **account})[0] == "6240"
    assert company.refused("item", {"Name": "B", "Type": "NonInventory"})[0] == "2020"
    assert company.refused("item", {"Name": "B", "Type": "Kit", **account})[0] == "2030"
    assert company.refused("item", {"Name": "B", "Type": "Service", "IncomeAccountRef": {"value": "99"}})[0] == "610"
    stock = {"Name": "S", "Type": "Inventory", "TrackQtyOnHand": True, "QtyOnHand": 5, "InvStartDate": "2026-01-01"}
    refs = {"AssetAccountRef": {"value": "11"}, "ExpenseAccountRef": {"value": "10"}, **account}
    assert company.refused("item", {**stock, **account})[0] == "2020"
    kept = company.make("item", {**stock, **refs})
    change = {"Id": kept["Id"], "SyncToken": "0", "sparse": True, "QtyOnHand": 50}
    assert company.make("item", change)["QtyOnHand"] == 5  # stock is not moved by an update


def test_accounts_are_seeded_and_can_be_added(company: Company) -> None:
    found = company.query("select * from Account where AccountType = 'Bank'")
    assert [(account["Id"], account["AcctNum"]) for account in found["Account"]] == [("5", "512000")]

    made = company.make("account", {"Name": "Shopify Payments", "AccountType": "Bank", "AcctNum": "512300"})

    assert made["Classification"] == "Asset"
    assert company.refused("account", {"Name": "shopify payments", "AccountType": "Bank"})[0] == "6240"
    assert company.refused("account", {"Name": "X", "AccountType": "Pocket"})[0] == "2030"


def test_a_tax_code_is_made_with_its_rates(company: Company) -> None:
    rate = {"TaxRateName": "USt 19", "RateValue": "19", "TaxAgencyId": "1", "TaxApplicableOn": "Sales"}
    answer = company.post("taxservice/taxcode", {"TaxCode": "DE19", "TaxRateDetails": [rate]})
    assert answer.status_code == 200
    made = answer.json()
    assert (made["TaxCode"], made["TaxCodeId"], made["TaxRateDetails"][0]["TaxRateId"]) == ("DE19", "6", "6")

    code = company.query("select * from TaxCode where Name = 'DE19'")["TaxCode"][0]
    listed = company.query("select * from TaxRate where Name = 'USt 19'")["TaxRate"][0]

    assert code["SalesTaxRateList"]["TaxRateDetail"][0]["TaxRateRef"] == {"value": "6", "name": "USt 19"}
    assert (listed["RateValue"], listed["AgencyRef"]) == (19, {"value": "1"})
    assert company.refused("taxservice/taxcode", {"TaxCode": "DE19", "TaxRateDetails": [rate]})[0] == "6240"
    assert company.refused("taxservice/taxcode", {"TaxCode": "X", "TaxRateDetails": [rate]})[0] == "6240"
    again = {"TaxCode": "DE19b", "TaxRateDetails": [{"TaxRateId": "6"}]}
    assert company.post("taxservice/taxcode", again).json()["TaxRateDetails"][0]["TaxRateName"] == "USt 19"
    other = {**rate, "TaxRateName": "Y", "TaxAgencyId": "9"}
    assert company.refused("taxservice/taxcode", {"TaxCode": "Y", "TaxRateDetails": [other]})[0] == "610"
    assert company.refused("taxservice/taxcode", {"TaxCode": "Y"})[0] == "2020"
    customer = company.customer()
    invoice = company.make("invoice", sale(customer, line("100", "6")))
    assert invoice["TotalAmt"] == 119


# -- documents and their totals -------------------------------------------------------------------------------------------


def test_an_invoice_has_its_totals_computed(company: Company) -> None:
    customer = company.customer()
    lines = [line("100", TVA_20, Qty=4, UnitPrice=25), line("59.90", TVA_10), line("5", TVA_0)]

    invoice = company.make("invoice", sale(customer, *lines, DocNumber="S-1001", TxnDate="2026-11-20"))

    assert (invoice["DocNumber"], invoice["TxnDate"], invoice["DueDate"]) == ("S-1001", "2026-11-20", "2026-11-20")
    assert invoice["Line"][-1] == {
        "Amount": Decimal("164.90"),
        "DetailType": "SubTotalLineDetail",
        "SubTotalLineDetail": {},
    }
    assert [(each["Id"], each["LineNum"]) for each in invoice["Line"][:-1]] == [("1", 1), ("2", 2), ("3", 3)]
    assert taxes(invoice) == {
        "TVA 20": (Decimal("100.00"), Decimal("20.00")),
        "TVA 10": (Decimal("59.90"), Decimal("5.99")),
        "TVA 0": (Decimal("5.00"), Decimal("0.00")),
    }
    assert invoice["TxnTaxDetail"]["TotalTax"] == Decimal("25.99")
    assert invoice["TotalAmt"] == invoice["Balance"] == Decimal("190.89")
    assert invoice["CustomerRef"] == {"value": customer, "name": "Camille Exemple"}
    assert company.read("customer", customer)["Balance"] == Decimal("190.89")


def test_a_discount_is_taken_off_before_tax_in_proportion(company: Company) -> None:
    customer = company.customer()

    invoice = company.make("invoice", sale(customer, line("60", TVA_20), line("30", TVA_10), discount("10")))

    assert taxes(invoice) == {
        "TVA 20": (Decimal("53.33"), Decimal("10.67")),
        "TVA 10": (Decimal("26.67"), Decimal("2.67")),
    }
    assert (invoice["Line"][-1]["Amount"], invoice["TotalAmt"]) == (80, Decimal("93.34"))
    percent = company.make("invoice", sale(customer, line("60"), percent_discount(10)))
    assert (percent["Line"][1]["Amount"], percent["TotalAmt"]) == (6, Decimal("64.80"))
    after = company.make("invoice", sale(customer, line("60"), discount("10"), ApplyTaxAfterDiscount=False))
    assert after["TotalAmt"] == 62


def test_tax_may_be_inside_the_amounts_or_not_apply(company: Company) -> None:
    customer = company.customer()
    lines = [line("24.90", TVA_20), line("12.20", TVA_10)]

    inside = company.make("invoice", sale(customer, *lines, GlobalTaxCalculation="TaxInclusive"))
    without = company.make("invoice", sale(customer, line("10", None), GlobalTaxCalculation="NotApplicable"))

    assert taxes(inside) == {
        "TVA 20": (Decimal("20.75"), Decimal("4.15")),
        "TVA 10": (Decimal("11.09"), Decimal("1.11")),
    }
    assert inside["TotalAmt"] == Decimal("37.10")
    assert inside["Line"][0]["SalesItemLineDetail"]["TaxInclusiveAmt"] == Decimal("24.90")
    assert (without["TotalAmt"], without["TxnTaxDetail"]) == (10, {"TotalTax": 0})


def test_tax_is_rounded_half_up_once_a_rate(company: Company) -> None:
    customer = company.customer()

    # 0.125 a line would give 0.13 three times; together it is 0.375.
    invoice = company.make("invoice", sale(customer, *[line("1.25", TVA_10)] * 3))
    half = company.make("invoice", sale(customer, line("0.25", TVA_10)))

    assert invoice["TxnTaxDetail"]["TotalTax"] == Decimal("0.38")
    assert half["TxnTaxDetail"]["TotalTax"] == Decimal("0.03")


def test_the_shops_own_tax_figures_are_kept_within_a_cent_a_line(company: Company) -> None:
    customer = company.customer()
    three = [line("1.25", TVA_10)] * 3

    kept = company.make("invoice", sale(customer, *three, TxnTaxDetail={**override(r2="0.36"), "TotalTax": 0.36}))
    code, detail = company.refused("invoice", sale(customer, *three, TxnTaxDetail=override(r2="0.34")))

    assert (taxes(kept)["TVA 10"][1], kept["TotalAmt"]) == (Decimal("0.36"), Decimal("4.11"))
    assert code == "6000"
    assert "computed 0.38, given 0.34" in detail
    unused = company.refused("invoice", sale(customer, *three, TxnTaxDetail=override(r1="0.38")))
    assert (unused[0], "not used" in unused[1]) == ("6000", True)
    total = company.refused("invoice", sale(customer, *three, TxnTaxDetail={"TotalTax": 0.36}))
    assert (total[0], "computed 0.38, given 0.36" in total[1]) == ("6000", True)
    inside = sale(
        customer, line("12.20", TVA_10), GlobalTaxCalculation="TaxInclusive", TxnTaxDetail=override(r2="1.10")
    )
    assert taxes(company.make("invoice", inside))["TVA 10"] == (Decimal("11.10"), Decimal("1.10"))


def test_the_room_for_own_tax_figures_can_be_set(start: Any) -> None:
    company = start(tax_override_tolerance=Decimal("0"))

    body = sale(company.customer(), line("100"), TxnTaxDetail=override(r1="20.01"))

    assert company.refused("invoice", body)[0] == "6000"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"TotalAmt": 119.99}, "6000"),
        ({"CustomerRef": None}, "2020"),
        ({"CustomerRef": {"value": "99"}}, "610"),
        ({"GlobalTaxCalculation": None}, "2020"),
        ({"GlobalTaxCalculation": "Sometimes"}, "2030"),
        ({"Line": []}, "2020"),
        ({"Line": [line("100", Qty=3, UnitPrice=33)]}, "6070"),
        ({"Line": [line("100", None)]}, "6000"),
        ({"Line": [line("100", "99")]}, "610"),
        ({"Line": [line("100", ItemRef={"value": "99"})]}, "610"),
        ({"Line": [line("100", ItemRef=None)]}, "2020"),
        ({"Line": [line("100"), discount("101")]}, "6000"),
        ({"Line": [{"Amount": 1}]}, "2020"),
        ({"Line": [{"Amount": 1, "DetailType": "SalesItemLineDetail"}]}, "2020"),
        ({"Line": [line("1.005")]}, "2030"),
        ({"DocNumber": "x" * 22}, "2030"),
        ({"TxnDate": "20/11/2026"}, "2030"),
        ({"CurrencyRef": {"value": "USD"}}, "6000"),
        ({"Number": "1"}, "2010"),
    ],
)
def test_an_invoice_that_does_not_fit_is_refused(company: Company, change: dict[str, Any], code: str) -> None:
    body = sale(company.customer(), TotalAmt=120) | change

    assert company.refused("invoice", body)[0] == code
    assert company.state()["invoice"] == []


def test_a_number_is_used_once_a_kind_of_document(company: Company) -> None:
    customer = company.customer()
    first = company.make("invoice", sale(customer, DocNumber="S-1"))

    code, detail = company.refused("invoice", sale(customer, DocNumber="S-1"))

    assert code == "6140"
    assert f"TxnId={first['Id']}" in detail
    company.make("creditmemo", sale(customer, DocNumber="S-1"))
    company.make("invoice", {"Id": first["Id"], "SyncToken": "0"}, operation="delete")
    company.make("invoice", sale(customer, DocNumber="S-1"))
    assert company.make("invoice", sale(customer))["DocNumber"] == "1001"


def test_a_company_may_allow_a_number_twice_and_number_itself(start: Any) -> None:
    company = start(warn_duplicate_doc_numbers=False, custom_transaction_numbers=True)
    customer = company.customer()

    for _ in range(2):
        company.make("invoice", sale(customer, DocNumber="S-1"))

    assert len(company.query("select * from Invoice where DocNumber = 'S-1'")["Invoice"]) == 2
    assert "DocNumber" not in company.make("invoice", sale(customer))


def test_a_closed_period_takes_nothing(start: Any) -> None:
    company = start(closing_date=date(2026, 10, 31))
    customer = company.customer()

    assert company.refused("invoice", sale(customer, TxnDate="2026-10-31"))[0] == "6210"
    company.make("invoice", sale(customer, TxnDate="2026-11-01"))


def test_another_currency_needs_the_setting_and_a_customer_of_it(start: Any) -> None:
    company = start(multicurrency=True)
    dollars = {"CurrencyRef": {"value": "USD"}}
    american, french = company.customer("American", **dollars), company.customer("French")

    invoice = company.make("invoice", sale(american, **dollars))

    assert invoice["CurrencyRef"] == {"value": "USD", "name": "United States Dollar"}
    assert company.refused("invoice", sale(french, **dollars))[0] == "6000"
    assert company.refused("invoice", sale(american))[0] == "6000"


def test_an_inactive_customer_takes_no_invoice(company: Company) -> None:
    customer = company.customer()
    company.make("customer", {"Id": customer, "SyncToken": "0", "sparse": True, "Active": False})

    assert company.refused("invoice", sale(customer))[0] == "610"


def test_an_invoice_is_updated_with_new_totals(company: Company) -> None:
    customer = company.customer()
    own = sale(customer, line("10", TVA_10), DocNumber="S-1", TxnTaxDetail=override(r2="1.01"), PrivateNote="shop:1")
    invoice = company.make("invoice", own)

    noted = company.make("invoice", {"Id": "1", "SyncToken": "0", "sparse": True, "CustomerMemo": {"value": "Merci"}})
    longer = {"Id": "1", "SyncToken": "1", "sparse": True, "Line": [*noted["Line"], line("100")]}
    longer["Line"] = json.loads(json.dumps(longer["Line"], default=float))
    updated = company.make("invoice", longer)

    assert (invoice["TotalAmt"], noted["TotalAmt"]) == (Decimal("11.01"), Decimal("11.01"))
    assert (updated["TotalAmt"], updated["PrivateNote"], updated["SyncToken"]) == (131, "shop:1", "2")
    assert [each.get("Id") for each in updated["Line"]] == ["1", "2", None]
    full = json.loads(json.dumps(updated, default=float))
    assert company.make("invoice", full)["TotalAmt"] == 131  # what was read can be sent back


def test_an_invoice_is_voided_and_deleted(company: Company) -> None:
    customer = company.customer()
    for number in ("S-1", "S-2"):
        company.make("invoice", sale(customer, DocNumber=number))

    voided = company.make("invoice", {"Id": "1", "SyncToken": "0"}, operation="void")
    deleted = company.make("invoice", {"Id": "2", "SyncToken": "0"}, operation="delete")

    assert (voided["TotalAmt"], voided["Balance"], voided["PrivateNote"]) == (0, 0, "Voided")
    assert deleted == {"domain": "QBO", "status": "Deleted", "Id": "2"}
    assert company.http.get(f"{BASE}/invoice/2").json()["Fault"]["Error"][0]["code"] == "610"
    assert company.read("customer", customer)["Balance"] == 0
    assert company.state()["deleted"][0]["Id"] == "2"
    assert company.refused("customer", {"Id": customer, "SyncToken": "0"}, operation="delete")[0] == "500"


def test_receipts_are_settled_at_once(company: Company) -> None:
    customer = company.customer()

    receipt = company.make("salesreceipt", sale(customer, DepositToAccountRef={"value": "5"}))
    refund = company.make("refundreceipt", sale(customer, DepositToAccountRef={"value": "5"}))

    assert (receipt["TotalAmt"], receipt["Balance"], receipt["DepositToAccountRef"]["name"]) == (120, 0, "Bank")
    assert refund["TotalAmt"] == 120
    assert company.refused("refundreceipt", sale(customer))[0] == "2020"
    assert company.read("customer", customer)["Balance"] == 0


# -- payments -------------------------------------------------------------------------------------------------------------


def test_a_payment_lowers_the_balance(company: Company) -> None:
    customer = company.customer()
    invoice = company.make("invoice", sale(customer))["Id"]

    payment = company.make("payment", paid(customer, "50", ("Invoice", invoice, "50"), PaymentRefNum="pi_1"))

    half = company.read("invoice", invoice)
    assert (payment["UnappliedAmt"], payment["DepositToAccountRef"]["name"]) == (0, "Undeposited Funds")
    assert (half["Balance"], half["LinkedTxn"]) == (70, [{"TxnId": payment["Id"], "TxnType": "Payment"}])
    company.make("payment", paid(customer, "70", ("Invoice", invoice, "70")))
    assert company.read("invoice", invoice)["Balance"] == 0
    assert company.refused("payment", paid(customer, "1", ("Invoice", invoice, "1")))[0] == "620"


@pytest.mark.parametrize(
    ("total", "links", "code"),
    [
        ("130", [("Invoice", "1", "130")], "6000"),  # above the balance
        ("100", [("Invoice", "1", "120")], "6000"),  # above the payment
        ("10", [("Invoice", "9", "10")], "610"),
        ("10", [("Invoice", "2", "10")], "620"),  # another customer's
        ("10", [("Bill", "1", "10")], "620"),
        ("0", [("Invoice", "1", "0")], "6000"),
        ("20", [("Invoice", "1", "10"), ("Invoice", "1", "10")], "6000"),
    ],
)
def test_a_payment_that_cannot_be_applied_is_refused(
    company: Company, total: str, links: list[tuple[str, str, str]], code: str
) -> None:
    customer, other = company.customer("A"), company.customer("B")
    company.make("invoice", sale(customer))
    company.make("invoice", sale(other))

    assert company.refused("payment", paid(customer, total, *links))[0] == code
    assert company.read("invoice", "1")["Balance"] == 120
    assert company.state()["payment"] == []


def test_money_may_stay_unapplied_and_be_applied_later(company: Company) -> None:
    customer = company.customer()
    payment = company.make("payment", paid(customer, "200"))
    assert (payment["UnappliedAmt"], company.read("customer", customer)["Balance"]) == (200, -200)
    invoice = company.make("invoice", sale(customer))["Id"]

    link = [{"Amount": 120, "LinkedTxn": [{"TxnId": invoice, "TxnType": "Invoice"}]}]
    applied = company.make("payment", {"Id": payment["Id"], "SyncToken": "0", "sparse": True, "Line": link})

    assert (applied["UnappliedAmt"], company.read("invoice", invoice)["Balance"]) == (80, 0)
    assert company.read("customer", customer)["Balance"] == -80


def test_a_credit_memo_is_applied_by_a_payment_of_zero(company: Company) -> None:
    customer = company.customer()
    invoice = company.make("invoice", sale(customer))["Id"]
    memo = company.make("creditmemo", sale(customer, line("25")))
    assert (memo["TotalAmt"], memo["RemainingCredit"]) == (30, 30)

    links = ("Invoice", invoice, "30"), ("CreditMemo", memo["Id"], "30")
    payment = company.make("payment", paid(customer, "0", *links))

    assert (payment["TotalAmt"], payment["UnappliedAmt"]) == (0, 0)
    assert company.read("invoice", invoice)["Balance"] == 90
    assert company.read("creditmemo", memo["Id"])["RemainingCredit"] == 0
    assert company.read("customer", customer)["Balance"] == 90
    second = company.make("creditmemo", sale(customer, line("25")))["Id"]
    assert company.refused("payment", paid(customer, "0", ("CreditMemo", second, "30")))[0] == "6000"


def test_what_goes_away_gives_its_money_back(company: Company) -> None:
    customer = company.customer()
    invoice = company.make("invoice", sale(customer))["Id"]
    payment = company.make("payment", paid(customer, "120", ("Invoice", invoice, "120")))
    token = company.read("invoice", invoice)["SyncToken"]
    assert (
        company.refused("invoice", {"Id": invoice, "SyncToken": token, "sparse": True, "Line": [line("50")]})[0]
        == "6000"
    )

    company.make("payment", {"Id": payment["Id"], "SyncToken": "0"}, operation="update", include="void")

    assert company.read("invoice", invoice)["Balance"] == 120
    second = company.make("payment", paid(customer, "120", ("Invoice", invoice, "120")))
    token = company.read("invoice", invoice)["SyncToken"]
    company.make("invoice", {"Id": invoice, "SyncToken": token}, operation="delete")
    assert company.read("payment", second["Id"])["UnappliedAmt"] == 120
    assert company.read("payment", second["Id"])["Line"] == []


# -- journal entries ------------------------------------------------------------------------------------------------------


def posting(side: str, account: str, amount: str, customer: str | None = None) -> dict[str, Any]:
    detail: dict[str, Any] = {"PostingType": side, "AccountRef": {"value": account}}
    if customer:
        detail["Entity"] = {"Type": "Customer", "EntityRef": {"value": customer}}
    return {"Amount": float(amount), "DetailType": "JournalEntryLineDetail", "JournalEntryLineDetail": detail}


def test_a_journal_entry_balances(company: Company) -> None:
    customer = company.customer()
    lines = [posting("Debit", "1", "120", customer), posting("Credit", "2", "100"), posting("Credit", "8", "20")]

    entry = company.make("journalentry", {"DocNumber": "VE-2026-11-20", "TxnDate": "2026-11-20", "Line": lines})

    assert entry["Line"][0]["JournalEntryLineDetail"]["Entity"]["EntityRef"]["name"] == "Camille Exemple"
    assert company.state()["balances"] == {"1": 120, "2": -100, "8": -20}
    assert company.refused("journalentry", {"DocNumber": "VE-2026-11-20", "Line": lines})[0] == "6140"


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([posting("Debit", "5", "10"), posting("Credit", "2", "9")], "6000"),
        ([posting("Debit", "5", "0"), posting("Credit", "2", "0")], "6000"),
        ([posting("Debit", "1", "10"), posting("Credit", "2", "10")], "6000"),  # receivable without a name
        ([posting("Debit", "1", "10", "1"), posting("Credit", "12", "10", "1")], "6000"),  # two of them
        ([posting("Debit", "99", "10"), posting("Credit", "2", "10")], "610"),
        ([posting("Debit", "5", "10")], "2020"),
        ([line("10"), line("10")], "2020"),
    ],
)
def test_a_journal_entry_that_does_not_fit_is_refused(company: Company, lines: list[dict[str, Any]], code: str) -> None:
    company.customer()

    assert company.refused("journalentry", {"Line": lines})[0] == code


def test_the_accounts_always_add_up_to_zero(company: Company) -> None:
    customer = company.customer()
    mixed = [line("24.90", TVA_20), line("12.20", TVA_10), discount("3.33")]
    for mode in ("TaxExcluded", "TaxInclusive"):
        company.make("invoice", sale(customer, *mixed, GlobalTaxCalculation=mode))
        company.make("creditmemo", sale(customer, *mixed, GlobalTaxCalculation=mode))
    company.make("salesreceipt", sale(customer, *mixed))
    company.make("payment", paid(customer, "12.34"))

    balances = company.state()["balances"]

    assert sum(balances.values()) == 0
    assert balances["1"] == Decimal("-12.34")
    assert balances["7"] == Decimal("3.33")


# -- reading --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def three(company: Company, clock: Clock) -> Company:
    """Three customers with one invoice each, a minute apart: 120, 240 and 360."""
    for number, name in enumerate(("Ann", "Zoé", "L'Oréal"), 1):
        customer = company.customer(name)
        company.make("invoice", sale(customer, line(f"{number}00"), DocNumber=f"S-{number}"))
        clock.now += timedelta(minutes=1)
    return company


@pytest.mark.parametrize(
    ("condition", "numbers"),
    [
        ("", ["S-1", "S-2", "S-3"]),
        ("where DocNumber = 'S-2'", ["S-2"]),
        ("where DocNumber IN ('S-3','S-1', 'S-9')", ["S-3", "S-1"]),
        ("WHERE TotalAmt > '120' AND TotalAmt <= 360", ["S-2", "S-3"]),
        ("where CustomerRef = '2'", ["S-2"]),
        ("where TxnDate >= '2026-11-24' orderby TotalAmt desc", ["S-3", "S-2", "S-1"]),
        ("where DocNumber LIKE 'S-%' ORDERBY DocNumber DESC STARTPOSITION 2 MAXRESULTS 1", ["S-2"]),
        ("where Id < '3'", ["S-1", "S-2"]),
        ("where MetaData.LastUpdatedTime > '2026-11-24T10:00:30+01:00'", ["S-2", "S-3"]),
        ("where Balance = '0'", []),
        ("MAXRESULTS 2", ["S-1", "S-2"]),
    ],
)
def test_queries_find_invoices(three: Company, condition: str, numbers: list[str]) -> None:
    found = three.query(f"select * from Invoice {condition}")

    assert [invoice["DocNumber"] for invoice in found.get("Invoice", [])] == numbers
    assert found == {} or found["maxResults"] == len(numbers)


def test_queries_count_select_fields_and_escape(three: Company) -> None:
    assert three.query("select count(*) from Invoice where TotalAmt > '120'") == {"totalCount": 2}
    escaped = three.query(r"select Id, DisplayName from Customer where DisplayName = 'L\'Oréal'")
    assert escaped["Customer"] == [{"Id": "3", "DisplayName": "L'Oréal"}]
    posted = three.http.post(
        f"{BASE}/query", content=b"select * from Customer", headers={"content-type": "application/text"}
    )
    assert len(posted.json()["QueryResponse"]["Customer"]) == 3
    assert three.query("select * from Customer where Balance > '200'")["maxResults"] == 2
    assert three.query("select * from CompanyInfo")["CompanyInfo"][0]["Country"] == "FR"


def test_inactive_records_are_found_only_when_asked_for(company: Company) -> None:
    customer = company.customer()
    company.make("customer", {"Id": customer, "SyncToken": "0", "sparse": True, "Active": False})

    assert company.query("select * from Customer where DisplayName = 'Camille Exemple'") == {}
    named = "select * from Customer where Active IN (true, false) and DisplayName = 'Camille Exemple'"
    assert company.query(named)["maxResults"] == 1
    assert company.refused("customer", {"DisplayName": "Camille Exemple"})[0] == "6240"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("select * from Customer where DisplayName = 'L'Oréal'", "4000"),
        ("select * from Invoice where DocNumber = 'S-1' or DocNumber = 'S-2'", "4000"),
        ("select from Invoice", "4000"),
        ("delete from Invoice", "4000"),
        ("select * from Invoice where DocNumber", "4000"),
        ("select * from Invoice where PrivateNote = 'x'", "4001"),
        ("select * from Unicorn", "4001"),
        ("select * from Invoice STARTPOSITION 0", "4001"),
        ("select * from Invoice MAXRESULTS 1001", "4001"),
    ],
)
def test_a_query_that_cannot_be_read_is_refused(three: Company, text: str, code: str) -> None:
    answer = three.http.get(f"{BASE}/query", params={"query": text})

    assert (answer.status_code, answer.json()["Fault"]["Error"][0]["code"]) == (400, code)


def test_changes_since_an_instant_show_deletions(three: Company, clock: Clock) -> None:
    three.make("invoice", {"Id": "1", "SyncToken": "0"}, operation="delete")

    query = {"entities": "Invoice,Payment", "changedSince": "2026-11-24T09:02:00Z"}
    (response,) = three.http.get(f"{BASE}/cdc", params=query).json()["CDCResponse"]

    invoices, payments = response["QueryResponse"]
    assert [(each["Id"], each.get("status")) for each in invoices["Invoice"]] == [("3", None), ("1", "Deleted")]
    assert payments == {}
    old = {**query, "changedSince": "2026-10-01"}
    assert three.http.get(f"{BASE}/cdc", params=old).status_code == 400


def test_an_unknown_address_or_id_answers_as_the_vendor_does(company: Company) -> None:
    for path, code in (("customer/1/5", "500"), ("unicorn/1", "500"), ("customer/1.5", "2030"), ("customer/77", "610")):
        answer = company.http.get(f"{BASE}/{path}")
        assert (answer.status_code, answer.json()["Fault"]["Error"][0]["code"]) == (400, code), path


# -- repeats --------------------------------------------------------------------------------------------------------------


def test_a_repeated_requestid_gets_the_first_answer(company: Company, clock: Clock) -> None:
    customer = company.customer()
    first = company.post("invoice", sale(customer, DocNumber="S-1"), requestid="inv-1")
    clock.now += timedelta(minutes=5)

    same = company.post("invoice", sale(customer, DocNumber="S-1"), requestid="inv-1")
    other = company.post("invoice", sale(customer, DocNumber="S-2"), requestid="inv-1")

    assert first.content == same.content == other.content
    assert first.headers["intuit_tid"] != same.headers["intuit_tid"]
    assert len(company.state()["invoice"]) == 1


def test_a_requestid_has_fifty_characters_at_most(company: Company) -> None:
    company.make("customer", {"DisplayName": "A"}, requestid="x" * 50)

    assert company.refused("customer", {"DisplayName": "B"}, requestid="x" * 51)[0] == "2030"


@pytest.mark.parametrize("replay", [False, True])
def test_whether_a_refusal_is_remembered_is_a_setting(start: Any, replay: bool) -> None:
    company = start(replay_refusals=replay)
    body = sale("1")
    assert company.refused("invoice", body, requestid="inv-1")[0] == "610"
    company.customer()

    answer = company.post("invoice", body, requestid="inv-1")

    assert answer.status_code == (400 if replay else 200)


# -- control --------------------------------------------------------------------------------------------------------------


def plant(company: Company, **fault: Any) -> None:
    answer = company.http.post("/_sandbox/faults", json={"match": "POST /v3/company/*/invoice", **fault})
    assert answer.status_code == 201, answer.text


def test_a_planted_status_comes_without_the_work(company: Company) -> None:
    customer = company.customer()
    throttled = {"fault": {"error": [{"code": "3001"}]}}
    plant(company, kind="status", status=429, headers={"x-wait": "60"}, body=throttled, times=2)

    for _ in range(2):
        answer = company.post("invoice", sale(customer))
        assert (answer.status_code, answer.headers["x-wait"], answer.json()) == (429, "60", throttled)

    assert company.state()["invoice"] == []
    assert company.post("invoice", sale(customer)).status_code == 200


def test_a_planted_status_may_come_after_the_work(company: Company) -> None:
    customer = company.customer()
    plant(company, kind="status_after", status=503, body="upstream timed out")

    answer = company.post("invoice", sale(customer), requestid="inv-1")

    assert (answer.status_code, answer.text) == (503, "upstream timed out")
    assert len(company.state()["invoice"]) == 1
    assert company.post("invoice", sale(customer), requestid="inv-1").json()["Invoice"]["Id"] == "1"
    assert len(company.state()["invoice"]) == 1


@pytest.mark.parametrize(("kind", "invoices"), [("drop_before", 0), ("drop_after", 1)])
def test_a_planted_cut_gives_no_answer(company: Company, kind: str, invoices: int) -> None:
    customer = company.customer()
    plant(company, kind=kind)

    with pytest.raises(httpx2.RemoteProtocolError, match="without sending a response"):
        company.post("invoice", sale(customer))

    assert len(company.state()["invoice"]) == invoices


def test_a_planted_delay_outlasts_the_callers_patience(company: Company) -> None:
    customer = company.customer()
    plant(company, kind="slow_after", seconds=0.2)

    with pytest.raises(httpx2.ReadTimeout):
        company.http.post(f"{BASE}/invoice", json=sale(customer), timeout=0.05)

    assert len(company.state()["invoice"]) == 1
    plant(company, kind="slow_after", seconds=0.1)
    before = time.monotonic()
    assert company.post("invoice", sale(customer)).status_code == 200
    assert time.monotonic() - before >= 0.1


def test_faults_are_listed_checked_and_dropped(company: Company) -> None:
    customer = company.customer()
    plant(company, kind="status", times=None)
    assert company.http.get("/_sandbox/faults").json()["faults"][0]["status"] == 503
    wrong = company.http.post("/_sandbox/faults", json={"match": "POST /v3/*", "kind": "nonsense"})
    assert wrong.status_code == 400
    assert company.http.post("/_sandbox/faults", content=b"[]").status_code == 400
    assert company.http.post("/_sandbox/nonsense", json={}).status_code == 404

    for _ in range(3):
        assert company.post("invoice", sale(customer)).status_code == 503
    company.http.delete("/_sandbox/faults")

    assert company.post("invoice", sale(customer)).status_code == 200


def test_a_fault_can_look_at_the_query(company: Company) -> None:
    customer = company.customer()
    company.http.post("/_sandbox/faults", json={"match": "POST */invoice?*operation=delete*", "kind": "status"})

    company.make("invoice", sale(customer))

    assert company.post("invoice", {"Id": "1", "SyncToken": "0"}, operation="delete").status_code == 503


def test_requests_are_logged_and_counted(company: Company) -> None:
    company.http.delete("/_sandbox/requests")
    company.customer()
    company.refused("customer", {})

    log = company.http.get("/_sandbox/requests").json()

    assert log["counts"] == {f"POST {BASE}/customer": 2}
    assert [(entry["status"], entry["fault"]) for entry in log["requests"]] == [(200, None), (400, None)]


def test_books_can_be_tampered_with(company: Company) -> None:
    customer = company.customer()
    invoice = company.make("invoice", sale(customer, DocNumber="S-1"))["Id"]
    entry = company.make("journalentry", {"Line": [posting("Debit", "5", "10"), posting("Credit", "2", "10")]})["Id"]

    def tamper(entity: str, identity: str, action: str) -> httpx2.Response:
        return company.http.post("/_sandbox/tamper", json={"entity": entity, "id": identity, "action": action})

    assert exact(tamper("invoice", invoice, "add_cent"))["TotalAmt"] == Decimal("120.01")
    assert company.read("invoice", invoice)["Balance"] == Decimal("120.01")
    tamper("journalentry", entry, "add_cent")
    assert sum(company.state()["balances"].values()) == 0
    twin = tamper("invoice", invoice, "duplicate").json()
    assert (twin["DocNumber"], twin["Id"] != invoice) == ("S-1", True)
    tamper("invoice", twin["Id"], "delete")
    assert [each["Id"] for each in company.state()["invoice"]] == [invoice]
    assert tamper("invoice", "99", "delete").status_code == 400
    assert tamper("invoice", invoice, "burn").status_code == 400


@pytest.mark.parametrize("form", ["cloudevents", "legacy"])
def test_changes_are_told_by_a_signed_webhook(start: Any, form: str) -> None:
    company = start(verifier_token="verifier")
    receiver = Receiver()
    try:
        customer = company.customer()
        company.make("invoice", sale(customer))
        receiver.answers = [500]
        told = {"url": receiver.url, "format": form}
        assert company.http.post("/_sandbox/notify", json=told).json() == {"sent": 0, "status": 500}
        receiver.next()

        assert company.http.post("/_sandbox/notify", json=told).json() == {"sent": 2, "status": 200}
        notice = receiver.next()
        assert company.http.post("/_sandbox/notify", json=told).json() == {"sent": 0}
    finally:
        receiver.close()

    digest = hmac.new(b"verifier", notice.body, hashlib.sha256).digest()
    assert notice.headers["intuit-signature"] == base64.b64encode(digest).decode()
    body = json.loads(notice.body)
    if form == "cloudevents":
        assert [(event["type"], event["intuitentityid"]) for event in body] == [
            ("qbo.customer.created.v1", "1"),
            ("qbo.invoice.created.v1", "1"),
        ]
        assert {event["intuitaccountid"] for event in body} == {REALM}
    else:
        entities = body["eventNotifications"][0]["dataChangeEvent"]["entities"]
        assert [(each["name"], each["operation"]) for each in entities] == [
            ("Customer", "Create"),
            ("Invoice", "Create"),
        ]


def test_the_state_lists_every_kind(company: Company) -> None:
    state = company.state()

    assert {"customer", "item", "invoice", "creditmemo", "payment", "journalentry", "account", "taxcode"} <= set(state)
    assert len(state["account"]) == 13
    assert state["realm"] == REALM
