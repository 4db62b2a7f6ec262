"""What is written of each connector's records is so: what samples, payloads and sandboxes give fits it, and the vendor has it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_client_schema,
    get_named_type,
)

from hub.connect.registry import Registry
from hub.flows.context import MappingFolder
from hub.mapping.schema_file import SchemaErrors
from hub.records.schema import Kind, Type, fits
from tests.connectors.serving import ROOT, load, shared
from tests.connectors.test_sandbox_contracts import OpenApi, Schema
from tests.connectors.test_shopify_contract import without_descriptions

registry = Registry.discover()
records = load("shopify", "records")
PAYLOADS = sorted((ROOT / "flows" / "payloads").glob("*.json"))


def described(kind: str) -> Type:
    type_ = registry.schema(kind)
    assert type_ is not None
    return type_


def test_every_record_that_a_shipped_mapping_reads_or_makes_is_described() -> None:
    folder = MappingFolder.standard()
    mappings = [mapping for name in folder.names() if (mapping := folder.get(name))]

    assert len(mappings) >= 9
    assert {kind for each in mappings for kind in (each.source, each.target) if registry.schema(kind) is None} == set()


@pytest.mark.parametrize("file", PAYLOADS, ids=lambda file: file.stem)
def test_an_order_of_a_shipped_payload_fits(file: Path) -> None:
    assert fits(records.order_from_webhook(json.loads(file.read_text("utf-8"))), described("shopify.order")) == []


def test_the_orders_of_the_samples_fit() -> None:
    samples = shared("samples", "shopify")
    names = ("OrderHeader", "OrderLines", "OrderMoney", "RefundFull")
    answers = [json.loads((samples / f"constructed-graphql-{name}.json").read_text("utf-8")) for name in names]
    bodies = [
        json.loads((samples / f"webhook-{name}.json").read_text("utf-8"))
        for name in ("orders__create", "inventory_levels__update")
    ]

    for found in records.read_file([*answers, *bodies]):
        assert fits(found["record"], described(found["kind"])) == []


def test_a_shipment_of_the_samples_fits() -> None:
    case = json.loads(shared("samples", "shipbob", "04-webhook-order-shipped.request.json").read_text("utf-8"))

    assert fits(case.get("body", case), described("shipbob.shipment")) == []


def test_what_is_wrong_with_a_record_is_said_with_its_path() -> None:
    order = records.order_from_webhook(json.loads(PAYLOADS[0].read_text("utf-8")))
    order["lineItems"][0] |= {"quantity": "2", "colour": "red"}
    order["displayFinancialStatus"] = "PAYED"
    del order["updatedAt"]

    found = [str(each) for each in fits(order, described("shopify.order"))]

    assert found[0] == "updatedAt: missing"
    assert found[1].startswith("displayFinancialStatus: 'PAYED' is none of AUTHORIZED")
    assert found[2] == "lineItems[0].quantity: str '2', where a whole number is wanted"
    assert found[3] == "lineItems[0].colour: a field that is not described"


def test_a_schema_that_is_wrong_is_told_with_its_places(tmp_path: Path) -> None:
    folder = tmp_path / "connectors" / "shop"
    (folder / "schemas").mkdir(parents=True)
    (folder / "connector.yaml").write_text("connector: shop\n")
    (folder / "schemas" / "order.yaml").write_text("schema: shop.order\nrecord:\n  id: txt\n  lines: [text, text]\n")
    (folder / "schemas" / "stock.yaml").write_text("schema: shop.level\nrecord: {id: text}\n")

    with pytest.raises(SchemaErrors) as error:
        Registry.discover(tmp_path).get("shop").schema("order")

    assert str(error.value).splitlines() == [
        "connectors/shop/schemas/order.yaml:3:7: unknown-type: there is no type txt (did you mean text?)",
        "connectors/shop/schemas/order.yaml:4:10: type: a list of one type has one item ([text]; [any] when its items differ)",
        "connectors/shop/schemas/stock.yaml:1:1: schema: says it describes shop.level (the file says it is shop.stock)",
    ]


def test_a_record_without_a_schema_is_open() -> None:
    assert registry.get("http").schema("request") is None
    assert registry.schema("nobody.order") is None


# -- the vendors' own schemas, where somebody has them ---------------------------------------------------------------------


def unknown_to_graphql(type_: Type, theirs: Any, path: str, schema: GraphQLSchema) -> Iterator[str]:
    """Fields of ours that the vendor's type lacks, and choices that its enumeration lacks."""
    theirs = get_named_type(theirs)
    if isinstance(theirs, GraphQLObjectType) and theirs.name.endswith("Connection"):
        theirs = get_named_type(theirs.fields["nodes"].type)
    if type_.kind is Kind.LIST and type_.item is not None:
        yield from unknown_to_graphql(type_.item, theirs, path, schema)
    elif type_.choices:
        assert isinstance(theirs, GraphQLEnumType), path
        yield from (f"{path}: {value}" for value in type_.choices if value not in theirs.values)
    elif type_.kind is Kind.OBJECT:
        one_of = [theirs]
        if isinstance(theirs, GraphQLUnionType | GraphQLInterfaceType):
            one_of = schema.get_possible_types(theirs)
        assert all(isinstance(each, GraphQLObjectType | GraphQLInterfaceType) for each in one_of), path
        for name, inner in type_.fields.items():
            found = [each.fields[name] for each in one_of if name in each.fields]
            if not found:
                yield f"{path}.{name}"
            else:
                yield from unknown_to_graphql(inner, found[0].type, f"{path}.{name}", schema)


def test_the_fields_and_choices_of_an_order_are_the_vendors() -> None:
    path = shared("specs", "shopify", "admin-2026-10.introspection.json.gz")
    introspection = json.loads(gzip.decompress(path.read_bytes()))["data"]
    theirs = build_client_schema(without_descriptions(introspection), assume_valid=True)

    unknown = set(unknown_to_graphql(described("shopify.order"), theirs.type_map["Order"], "order", theirs))

    # what the connector knows of each section is ours, and is in no answer of the vendor's
    assert unknown == {"order.sections"}


@pytest.mark.parametrize(
    ("record", "name"), [("invoice", "Invoice"), ("credit_memo", "CreditMemo"), ("payment", "Payment")]
)
def test_the_fields_of_quickbooks_bodies_are_the_vendors(record: str, name: str) -> None:
    schema = Schema()

    def unknown(type_: Type, kind: str, path: str) -> Iterator[str]:
        while type_.kind is Kind.LIST and type_.item is not None:
            type_ = type_.item
        if (
            type_.kind is not Kind.OBJECT
            or kind not in schema.types
            or schema.bases.get(kind, kind) not in schema.types
        ):
            return
        fields = schema.fields(kind)
        for field, inner in type_.fields.items():
            if field not in fields:
                yield f"{path}.{field}"
            else:
                yield from unknown(inner, fields[field], f"{path}.{field}")

    assert set(unknown(described(f"quickbooks.{record}"), name, name)) == set()


def test_the_fields_of_shipbob_bodies_are_the_vendors() -> None:
    spec = OpenApi()

    def resolved(schema: Any) -> Any:
        while "$ref" in schema:
            schema = spec.document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        if "oneOf" in schema:  # a line by our reference or by ShipBob's id; an address, or one of a retailer
            each = [resolved(one)["properties"] for one in schema["oneOf"]]
            return {"properties": {name: field for fields in reversed(each) for name, field in fields.items()}}
        return schema

    def unknown(type_: Type, schema: Any, path: str) -> Iterator[str]:
        schema = resolved(schema)
        if type_.kind is Kind.LIST and type_.item is not None:
            yield from unknown(type_.item, schema["items"], path)
        elif type_.choices:
            yield from (f"{path}: {value}" for value in type_.choices if value not in schema["enum"])
        for field, inner in type_.fields.items():
            if field not in schema["properties"]:
                yield f"{path}.{field}"
            else:
                yield from unknown(inner, schema["properties"][field], f"{path}.{field}")

    order = spec.body("post", "/2026-01/order")
    shipment = spec.answer("get", "/2026-01/shipment/{shipmentId}", 200)

    assert set(unknown(described("shipbob.order"), order, "order")) == set()
    assert set(unknown(described("shipbob.shipment"), shipment, "shipment")) == set()
