"""The sandboxes against the vendors' own specifications and samples, where somebody has them; and against each other."""

from __future__ import annotations

import ast
import json
import xml.etree.ElementTree as ElementTree
from typing import Any

import httpx2
import pytest

from tests.connectors.serving import ROOT, load, serving, shared

XSD = "{http://www.w3.org/2001/XMLSchema}"


def test_the_copies_of_the_control_file_are_equal() -> None:
    # Shopify's, by GraphQL, has other words
    copies = [ROOT / "connectors" / name / "sandbox_control.py" for name in ("http", "quickbooks", "shipbob")]

    assert len({copy.read_bytes() for copy in copies}) == 1


@pytest.mark.parametrize("name", ["files", "http", "quickbooks", "shipbob", "smtp"])
def test_a_sandbox_imports_nothing_of_the_hub_nor_of_its_connector(name: str) -> None:
    for path in ROOT.glob(f"connectors/{name}/sandbox*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not any(alias.name.split(".")[0] in ("hub", "hub_connectors") for alias in node.names), path
            if isinstance(node, ast.ImportFrom):
                module = node.module or ""
                if node.level:
                    names = [module] if module else [alias.name for alias in node.names]
                    assert all(each.startswith("sandbox") for each in names), path
                else:
                    assert module.split(".")[0] not in ("hub", "hub_connectors"), path


# -- QuickBooks: every field served is an element of the vendor's schema ------------------------------------------------------


class Schema:
    """The element names of each type of the vendor's XSDs, inherited ones included."""

    def __init__(self) -> None:
        self.types: dict[str, dict[str, str]] = {}
        self.bases: dict[str, str] = {}
        for name in ("Finance.xsd", "IntuitBaseTypes.xsd", "IntuitNamesTypes.xsd", "SalesTax.xsd"):
            for kind in ElementTree.parse(shared("specs", "quickbooks", name)).getroot().iter(XSD + "complexType"):
                if kind.get("name"):
                    self._add(kind)

    def _add(self, kind: ElementTree.Element) -> None:
        name = kind.get("name") or ""
        fields = {e.get("name") or e.get("ref", ""): e.get("type", "") for e in kind.iter(XSD + "element")}
        fields |= {a.get("name", ""): "" for a in kind.iter(XSD + "attribute")}
        self.types[name] = fields
        extension = kind.find(f".//{XSD}extension")
        if extension is not None:
            self.bases[name] = extension.get("base", "")

    def fields(self, name: str) -> dict[str, str]:
        base = self.bases.get(name, "")
        return {**(self.fields(base) if base in self.types else {}), **self.types[name]}

    def unknown(self, name: str, value: Any, where: str) -> list[str]:
        """The paths in a JSON value that the schema has no element for."""
        if isinstance(value, list):
            return [path for each in value for path in self.unknown(name, each, where)]
        if not isinstance(value, dict):
            return []
        if name not in self.types or self.bases.get(name, name) not in self.types:
            # a reference or a memo: text with attributes in XML, `value` and `name` in JSON
            return [f"{where}.{key}" for key in value if key not in ("value", "name", "type")]
        fields = self.fields(name)
        found = []
        for key, inner in value.items():
            if key not in fields:
                found.append(f"{where}.{key}")
            else:
                found += self.unknown(fields[key], inner, f"{where}.{key}")
        return found


def test_every_quickbooks_field_is_in_the_vendors_schema() -> None:
    schema = Schema()
    app = load("quickbooks").create("id", "secret")
    with serving(app) as base, httpx2.Client(base_url=base) as client:
        grant = client.post("/_sandbox/grant").json()
        client.headers["authorization"] = f"Bearer {grant['access_token']}"
        company = f"/v3/company/{grant['realmId']}"

        def make(path: str, body: Any) -> Any:
            answer = client.post(f"{company}/{path}", json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()

        address = {"Line1": "8 rue de la Paix", "City": "Paris", "PostalCode": "75002", "Country": "France"}
        person = {"GivenName": "Camille", "FamilyName": "Exemple", "PrimaryPhone": {"FreeFormNumber": "1"}}
        mail = {"PrimaryEmailAddr": {"Address": "c@example.org"}, "WebAddr": {"URI": "https://example.org"}}
        make("customer", {"DisplayName": "A", "BillAddr": address, **person, **mail})
        detail = {"ItemRef": {"value": "1"}, "Qty": 2, "UnitPrice": 6, "TaxCodeRef": {"value": "1"}}
        lines = [
            {"Amount": 12, "Description": "x", "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail},
            {"Amount": 2, "DetailType": "DiscountLineDetail", "DiscountLineDetail": {"PercentBased": False}},
        ]
        body = {
            "CustomerRef": {"value": "1"},
            "GlobalTaxCalculation": "TaxInclusive",
            "Line": lines,
            "CustomerMemo": {"value": "Merci"},
            "BillEmail": {"Address": "c@example.org"},
            "PrivateNote": "shop:1",
            "DepositToAccountRef": {"value": "5"},
        }
        for path in ("invoice", "salesreceipt", "creditmemo", "refundreceipt"):
            make(path, body)
        links = [{"Amount": 10, "LinkedTxn": [{"TxnId": "1", "TxnType": "Invoice"}]}]
        make("payment", {"CustomerRef": {"value": "1"}, "TotalAmt": 10, "Line": links, "PaymentRefNum": "pi_1"})
        sides = [
            {
                "Amount": 5,
                "DetailType": "JournalEntryLineDetail",
                "JournalEntryLineDetail": {"PostingType": side, "AccountRef": {"value": account}},
            }
            for side, account in (("Debit", "5"), ("Credit", "2"))
        ]
        make("journalentry", {"Line": sides})
        rate = {"TaxRateName": "USt 19", "RateValue": 19, "TaxAgencyId": "1", "TaxApplicableOn": "Sales"}
        service = make("taxservice/taxcode", {"TaxCode": "DE19", "TaxRateDetails": [rate]})
        state = client.get("/_sandbox/state").json()
        info = client.get(f"{company}/companyinfo/1").json()["CompanyInfo"]

    names = load("quickbooks", "sandbox_company").KINDS
    unknown = schema.unknown("TaxService", service, "TaxService") + schema.unknown("CompanyInfo", info, "CompanyInfo")
    for path, kind in names.items():
        assert state[path], path
        unknown += schema.unknown(kind.name, state[path], kind.name)
    assert unknown == []


def test_the_quickbooks_bodies_take_no_field_that_the_vendor_lacks() -> None:
    schema = Schema()
    for kind in load("quickbooks", "sandbox_company").KINDS.values():
        if kind.body is not None:
            assert set(kind.body.model_fields) <= set(schema.fields(kind.name)), kind.name


# -- ShipBob: bodies and answers have the names, the required fields and the enumerations of the vendor's document ------------


class OpenApi:
    """As much of a JSON Schema check as the claim needs: names, required fields and enumerations."""

    def __init__(self) -> None:
        self.document = json.loads(shared("specs", "shipbob", "openapi-2026-01.json").read_text())

    def body(self, method: str, path: str) -> Any:
        return self.document["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]

    def answer(self, method: str, path: str, status: int) -> Any:
        return self.document["paths"][path][method]["responses"][str(status)]["content"]["application/json"]["schema"]

    def wrong(self, schema: Any, value: Any, where: str = "") -> list[str]:
        if "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        if value is None:
            return []
        if "oneOf" in schema:
            return min((self.wrong(each, value, where) for each in schema["oneOf"]), key=len)
        if "enum" in schema:
            return [] if value in schema["enum"] else [f"{where}: {value}"]
        if isinstance(value, list):
            found = [self.wrong(schema.get("items", {}), each, f"{where}[{at}]") for at, each in enumerate(value)]
            return [each for part in found for each in part]
        if not isinstance(value, dict):
            return []
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", False)
        found = [f"{where}.{name} is missing" for name in schema.get("required", []) if name not in value]
        for name, inner in value.items():
            if name in properties:
                found += self.wrong(properties[name], inner, f"{where}.{name}")
            elif not isinstance(others, dict):
                found.append(f"{where}.{name} is unknown")
            else:
                found += self.wrong(others, inner, f"{where}.{name}")
        return found


def test_shipbob_bodies_and_answers_fit_the_vendors_document() -> None:
    spec = OpenApi()
    prefix = "/2026-01"
    order = {
        "reference_id": "WEB-1",
        "type": "DTC",
        "shipping_method": "Standard",
        "recipient": {
            "name": "Camille Exemple",
            "address": {"address1": "5 Impasse du Test", "city": "Nantes", "country": "FR"},
        },
        "products": [{"reference_id": "MUG-01", "name": "Mug", "quantity": 2}],
    }
    hook = {"topics": ["order.shipped"], "url": "http://127.0.0.1:9/hook"}
    assert spec.wrong(spec.body("post", f"{prefix}/order"), order) == []
    assert spec.wrong(spec.body("post", f"{prefix}/webhook"), hook) == []

    app = load("shipbob").create("pat")
    headers = {"authorization": "Bearer pat", "shipbob_channel_id": "100001"}
    with serving(app) as base, httpx2.Client(base_url=base, headers=headers) as client:

        def check(method: str, path: str, status: int, body: Any = None, **query: str) -> None:
            address = path.format(orderId=100500, shipmentId=200001)
            answer = client.request(method, prefix + address, json=body, params=query)
            assert answer.status_code == status, answer.text
            wrong = spec.wrong(spec.answer(method.lower(), prefix + path, status), answer.json())
            assert wrong == [], f"{method} {path} {status}"

        check("POST", "/order", 201, order)
        check("POST", "/order", 422, order)
        check("POST", "/order", 400, {})
        check("POST", "/webhook", 200, hook)
        check("GET", "/webhook", 200)
        check("GET", "/channel", 200)
        client.post("/_sandbox/ship", json={"order_id": 100500, "partial": {"MUG-01": 1}, "webhook": False})
        client.post("/_sandbox/track", json={"shipment_id": 200001, "status": "InTransit", "location": "Nantes"})
        check("GET", "/order", 200)
        check("GET", "/order/{orderId}", 200)
        check("GET", "/order/{orderId}/shipment", 200)
        check("GET", "/shipment/{shipmentId}", 200)
        check("GET", "/shipments-tracking", 200, ShipmentIds="200001")
        check("POST", "/order/{orderId}:cancel", 200)
        check("POST", "/order/{orderId}:cancel", 422)


def test_shipbob_enumerations_are_the_vendors() -> None:
    schemas = OpenApi().document["components"]["schemas"]
    bodies = load("shipbob", "sandbox_bodies")

    assert set(bodies.Topic.__args__) == set(schemas["Webhooks.Topics"]["enum"])
    status = schemas["Tracking.ShipmentTrackingResponse"]["properties"]["status"]
    assert set(bodies.TrackingStatus.__args__) == set(status["enum"])


def test_shipbobs_sample_has_the_signature_that_the_sandbox_makes() -> None:
    case = json.loads(shared("samples", "shipbob", "04-webhook-order-shipped.case.json").read_text())
    body = shared("samples", "shipbob", case["request"]["body_file"]).read_bytes()
    headers = case["request"]["headers"]

    sign = load("shipbob", "sandbox_webhooks").sign

    signed = sign(case["webhook_secret"], headers["webhook-id"], headers["webhook-timestamp"], body)
    assert signed == headers["webhook-signature"]
    assert sign(case["webhook_secret"], headers["webhook-id"], headers["webhook-timestamp"], body + b" ") != signed


def test_shipbobs_sample_order_gives_an_answer_of_the_samples_shape() -> None:
    folder = ("samples", "shipbob")
    request = json.loads(shared(*folder, "01-create-order.request.json").read_text())
    sample = json.loads(shared(*folder, "01-create-order.response.json").read_text())
    app = load("shipbob").create("pat")
    headers = {"authorization": "Bearer pat", "shipbob_channel_id": "100001"}
    with serving(app) as base, httpx2.Client(base_url=base, headers=headers) as client:
        answer = client.post("/2026-01/order", json=request).json()
        duplicate = client.post("/2026-01/order", json=request)

    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: shape(inner) for name, inner in value.items()}
        return [shape(value[0])] if isinstance(value, list) and value else None

    for shipment in (*answer["shipments"], *sample["shipments"]):
        shipment["recipient"].pop("address")  # the sample's shipment leaves out the empty fields of the order's address
    assert shape(answer) == shape(sample)
    assert duplicate.json() == json.loads(shared(*folder, "02-duplicate-reference.response.json").read_text())
