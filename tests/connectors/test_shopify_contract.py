"""Our schema and documents against the vendor's own schema, where somebody has it. It is not ours to publish."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_client_schema,
    parse,
    validate,
)

from tests.connectors.serving import load, shared
from tests.connectors.shopify_serving import DOCUMENTS

ours: GraphQLSchema = load("shopify", "sandbox_graphql").SCHEMA
NAMED = [name for name, kind in ours.type_map.items() if not name.startswith("__")]


def without_descriptions(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: None if key == "description" else without_descriptions(item) for key, item in value.items()}
    return [without_descriptions(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def theirs() -> GraphQLSchema:
    path = shared("specs", "shopify", "admin-2026-10.introspection.json.gz")
    introspection = json.loads(gzip.decompress(path.read_bytes()))["data"]
    # graphql-core refuses the vendor's own schema (deprecations of interface fields): a property of that schema
    return build_client_schema(without_descriptions(introspection), assume_valid=True)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_document_is_valid_on_our_schema(name: str) -> None:
    assert validate(ours, parse(DOCUMENTS[name])) == []


def test_each_mutation_selects_its_user_errors() -> None:
    mutations = [text for text in DOCUMENTS.values() if "\nmutation " in f"\n{text}"]
    assert len(mutations) == 4
    assert all("userErrors" in text for text in mutations)


def test_each_document_is_valid_on_the_vendors_schema(theirs: GraphQLSchema) -> None:
    errors = {name: validate(theirs, parse(text)) for name, text in DOCUMENTS.items()}
    assert {name: found for name, found in errors.items() if found} == {}


def test_our_types_fields_and_arguments_are_the_vendors(theirs: GraphQLSchema) -> None:
    wrong = []
    for name in NAMED:
        mine, other = ours.type_map[name], theirs.type_map.get(name)
        if other is None:
            wrong.append(f"{name} is not a type of the vendor's")
        elif type(mine).__name__ != type(other).__name__:
            wrong.append(f"{name} is another kind of type")
        elif isinstance(mine, GraphQLEnumType):
            wrong += [f"{name}.{value}" for value in mine.values if value not in other.values]
        elif isinstance(mine, GraphQLUnionType):
            kinds = {kind.name for kind in other.types}
            wrong += [f"{name} = {kind.name}" for kind in mine.types if kind.name not in kinds]
        elif isinstance(mine, (GraphQLObjectType, GraphQLInterfaceType, GraphQLInputObjectType)):
            wrong += differing_fields(name, mine, other)
    assert wrong == []
    assert [kind.name for kind in (ours.query_type, ours.mutation_type)] == ["QueryRoot", "Mutation"]


def differing_fields(name: str, mine: Any, other: Any) -> list[str]:
    """Fields and arguments that the vendor lacks, or that are of another type or nullability."""
    wrong = []
    for field, own in mine.fields.items():
        their = other.fields.get(field)
        if their is None:
            wrong.append(f"{name}.{field} is not there")
            continue
        if str(own.type) != str(their.type):
            wrong.append(f"{name}.{field}: {own.type}, not {their.type}")
        for argument, value in getattr(own, "args", {}).items():
            found = their.args.get(argument)
            if found is None or str(found.type) != str(value.type):
                wrong.append(f"{name}.{field}({argument}: {value.type})")
    return wrong


def test_what_the_vendor_requires_of_an_input_we_have_too(theirs: GraphQLSchema) -> None:
    for name in NAMED:
        mine, other = ours.type_map[name], theirs.type_map[name]
        if isinstance(mine, GraphQLInputObjectType):
            required = {field for field, value in other.fields.items() if str(value.type).endswith("!")}
            assert required <= set(mine.fields), name


def test_our_directive_is_the_vendors(theirs: GraphQLSchema) -> None:
    mine, other = ours.get_directive("idempotent"), theirs.get_directive("idempotent")
    assert mine is not None
    assert other is not None
    assert {name: str(argument.type) for name, argument in mine.args.items()} == {"key": "String!"}
    assert {name: str(argument.type) for name, argument in other.args.items()} == {"key": "String!"}
    assert tuple(mine.locations) == tuple(other.locations)


def test_our_webhook_bodies_have_only_fields_that_the_vendor_shows() -> None:
    sandbox = load("shopify").create(products=[{"sku": "A", "price": "10.00", "quantity": 5}]).state.sandbox
    bodies = load("shopify", "sandbox_bodies")
    spec = {"lines": [{"sku": "A"}], "discount": {"type": "fixed", "value": 1, "code": "C"}, "shipping": {"price": 5}}
    sandbox.place(spec)
    sandbox.act("#1001", "fulfill")
    order = sandbox.shop.order("#1001")
    body = bodies.order(sandbox.shop, order)
    (shipped,) = body.pop("fulfillments")
    for made, name in (
        (body, "orders__create"),
        (shipped, "fulfillments__create"),
        (bodies.transaction(sandbox.shop, order, order.transactions[0]), "order_transactions__create"),
        (bodies.inventory_level(sandbox.shop, sandbox.shop.by_sku["A"], 111), "inventory_levels__update"),
    ):
        schema = json.loads(shared("specs", "shopify", "webhook-schemas-2026-07", f"{name}.json").read_text())
        found = unknown(made, schema)
        assert found == [], f"{name}: {found}"


def unknown(value: Any, schema: dict[str, Any], path: str = "$") -> list[str]:
    """Keys of a body that the vendor's inventory of fields does not have."""
    found: list[str] = []
    if isinstance(value, dict) and schema.get("properties"):
        for key, item in value.items():
            if key not in schema["properties"]:
                found.append(f"{path}.{key}")
            elif isinstance(schema["properties"][key], dict):
                found += unknown(item, schema["properties"][key], f"{path}.{key}")
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        for item in value:
            found += unknown(item, schema["items"], f"{path}[]")
    return found
