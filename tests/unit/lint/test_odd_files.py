"""Lint says something of whatever it is given, and never falls: files with parts that have another shape than they should."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from hub.connect.registry import Registry
from hub.flows.active import flow_files
from hub.flows.lint import lint
from hub.flows.lint.sources import sort_files
from hub.mapping import load_document

REGISTRY = Registry.discover()
SEED = 20261124
ROUNDS = 150
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    "",
    "a b",
    "record.",
    [],
    [[]],
    {},
    {"": None},
    {"role": {}},
    ["x", {"y": 1}],
    "null",
    {"if": []},
]

BLOCKS = """
flow: blocks
on: {event: invoice.issued}
when: invoice.total.amount > 0
allow: {ladder-none: mails}
steps:
  - set: {note: "'for ' + invoice.number"}
  - lookup: {role: books, kind: customer, key: invoice.party.id, as: customer}
  - call: {flow: called, with: {number: invoice.number}, as: words}
  - switch:
      on: invoice.kind
      cases:
        invoice: [{emit: {event: invoice.told, record: "{'note': note, 'words': words}"}}]
      else: [{stop: no invoice}]
  - for_each:
      in: invoice.lines
      as: line
      steps:
        - when: {if: line.sku != null, steps: [{deliver: {role: mail, operation: message.send, key: line.sku, body: "{}", retry: {attempts: 3}}}]}
"""
CALLED = "flow: called\non: {call: [number]}\nsteps: [{set: {text: number}}]\nreturns: text\n"
CONNECTIONS = "connections: {shop: {connector: shopify, settings: {shop: x.myshopify.com}}}\nroles: {shop: [shop]}\n"
TEST = "flows: [blocks]\nroles: {books: quickbooks}\ntests: []\n"


def files() -> dict[str, Any]:
    texts = {file.file: file.text for file in flow_files()}
    texts |= {
        "flows/blocks.yaml": BLOCKS,
        "flows/called.yaml": CALLED,
        "connections.yaml": CONNECTIONS,
        "flows/blocks.test.yaml": TEST,
    }
    return {name: load_document(text, name).value for name, text in texts.items()}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


def changed(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    made = dict(value) if isinstance(value, dict) else list(value)
    made[path[0]] = changed(value[path[0]], path[1:], odd)
    return made


def test_a_file_with_an_odd_part_never_stops_lint() -> None:
    chance = random.Random(SEED)
    whole = files()
    for _ in range(ROUNDS):
        name = chance.choice([each for each in whole if each != "flows/blocks.yaml"] + ["flows/blocks.yaml"] * 12)
        path = chance.choice(list(places(whole[name])))
        odd = chance.choice(ODD)
        texts = {name: json.dumps(changed(whole[name], path, odd)), "flows/called.yaml": CALLED}
        sources = sort_files(texts)
        try:
            lint(sources.project(REGISTRY), strict=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a fault
            pytest.fail(f"seed {SEED}: {texts[name]}: {error!r}")
