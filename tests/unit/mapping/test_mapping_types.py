"""Mappings against what their record and their target look like."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.connect.registry import Registry
from hub.flows.context import MAPPING_NAMES, MappingFolder
from hub.mapping import MappingErrors, load_mapping
from hub.mapping.check import check_mapping
from hub.mapping.schema_file import load_schema
from hub.records.schema import OBJECT
from hub.workers.admin.lint import lint
from hub.workers.settings import Settings

SOURCE = load_schema(
    """
schema: shop.order
record:
  id: text
  number: whole
  note: text?
  status: {choices: [OPEN, PAID]}
  currency: text
  amount: amount
  lines: [{sku: text?, quantity: whole}]
""",
    "s.yaml",
).type
TARGET = load_schema(
    """
schema: order
record:
  external_id: text
  kind: {choices: [sale, refund]}
  total: money
  placed_at: instant?
  note: text?
  lines: [{sku: text, quantity: whole, note: text?}]
""",
    "t.yaml",
).type
GOOD = """mapping: shop/order
from: shop.order
to: order
tables:
  kinds: {OPEN: sale, PAID: sale}
let:
  cur: currency
map:
  external_id: id
  kind: lookup(kinds, status)
  total: money(amount, cur)
  lines:
    each: lines
    as: line
    when: line.sku != null
    map: {sku: line.sku, quantity: line.quantity}
"""


def said(text: str) -> list[str]:
    load_mapping(text, "m.yaml")  # it compiles: these checks are about what it means
    return [str(each) for each in check_mapping(text, SOURCE, TARGET, file="m.yaml")]


def test_a_good_mapping_has_no_problem() -> None:
    assert said(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("external_id: id", "external_id: idd", "9:16: unknown-field: the record has no field idd"),
        ("external_id: id", "external_idd: id", "8:1: missing-field: the target needs external_id (external_id is text)"),
        ("external_id: id", "external_idd: id", "9:3: unknown-field: the target has no field external_idd (did you mean external_id?)"),
        ("external_id: id", "external_id: number", "9:16: type-mismatch: external_id is text, and this is a whole number (text(x) makes text of a number)"),
        ("external_id: id", "external_id: 7", "9:16: type-mismatch: external_id is text, and this is a whole number (text(x) makes text of a number)"),
        ("external_id: id", "external_id: null", "9:16: type-mismatch: external_id is text, and this is always null"),
        ("external_id: id", "external_id: {value: id}", "9:16: type-mismatch: external_id is text, and this is an object"),
        ("kind: lookup(kinds, status)", "kind: \"'sold'\"", "10:10: unknown-choice: kind is never 'sold' (it is one of sale, refund)"),
        ("kind: lookup(kinds, status)", "kind: \"'sale' if status == 'OPEN' else 'refnd'\"", "10:42: unknown-choice: kind is never 'refnd' (did you mean refund?)"),
        ("PAID: sale}", "PAID: sold}", "10:9: unknown-choice: kind is never 'sold' (it is one of sale, refund)"),
        ("kind: lookup(kinds, status)", "kind: lookup(kind, status)", "10:16: unknown-field: the record has no field kind (did you mean kinds?)"),
        ("total: money(amount, cur)", "total: number(amount)", "11:10: float-money: total is money, and this is a bare number (money(x, currency) makes money of it)"),
        ("total: money(amount, cur)", "total: amount", "11:10: type-mismatch: total is money, and this is text (money(x, currency) makes money of an amount)"),
        ("total: money(amount, cur)", "total: money(amount, note)", "11:24: missing-currency: money without a currency: note may be null (take the currency of the record, or make no money when there is none)"),
        ("total: money(amount, cur)", "total: money(number(amount) * 1.2, cur)", "11:16: float-money: an amount is multiplied by a rate as a plain number"),
        ("each: lines", "each: note", "13:11: type-mismatch: each: goes over a list, and this is text or null"),
        ("when: line.sku != null", "when: line.skuu != null", "15:16: unknown-field: line has no field skuu (did you mean sku?)"),
        ("when: line.sku != null", "when: \"'x'\"", "15:12: constant-condition: 'x' is always the same"),
        ("map: {sku: line.sku, quantity: line.quantity}", "map: {sku: line.sku, quantity: line.sku}", "16:36: type-mismatch: quantity is a whole number, and this is text (number(x) reads a number from text)"),
        ("map: {sku: line.sku, quantity: line.quantity}", "map: {sku: line.sku}", "16:5: missing-field: an item of lines needs quantity (quantity is a whole number)"),
        ("map: {sku: line.sku, quantity: line.quantity}", "map: \"{'sku': line.sku, 'qty': 1}\"", "16:11: unknown-field: an item of lines has no field qty (it has sku, quantity, note)"),
        ("  kind:", "  placed_at: note\n  note: number\n  kind:", "11:9: type-mismatch: note is text or null, and this is a whole number"),
        ("  cur: currency", "  cur: currencyy", "7:8: unknown-field: the record has no field currencyy (did you mean currency?)"),
    ],
)  # fmt: skip
def test_a_slip_in_a_mapping_is_found_at_its_place(old: str, new: str, problem: str) -> None:
    assert old in GOOD

    found = said(GOOD.replace(old, new))

    assert any(each.startswith(f"m.yaml:{problem}") for each in found), found


def test_records_that_nobody_described_are_not_complained_about() -> None:
    text = GOOD.replace("id", "anything.at.all").replace("anything.at.all", "id", 0)

    assert check_mapping(text, None, None, file="m.yaml") == []


def test_tables_are_data_and_hide_fields() -> None:
    text = """mapping: a/b
from: a.b
to: c
tables:
  carriers: {DPD: dpd, "La Poste": colissimo}
  rates: {FR: 0.2, DE: 0.19}
  lists: {EU: [FR, DE], on: {x: null, y: true}}
map:
  carrier: lookup(carriers, carrier, 'other')
  rate: rates.FR
  eu: country in lists.EU
  y: lists.on.y
  shadowed: record.rates
"""
    made = load_mapping(text, "m.yaml").apply({"carrier": "La Poste", "country": "FR", "rates": 7})

    assert made == {"carrier": "colissimo", "rate": made["rate"], "eu": True, "y": True, "shadowed": 7}
    assert str(made["rate"]) == "0.2"


def test_a_table_that_is_given_away_is_a_copy() -> None:
    mapping = load_mapping("mapping: a/b\nfrom: a.b\nto: c\ntables: {t: {a: x}}\nmap: {t: t}\n", "m.yaml")

    mapping.apply({})["t"]["a"] = "changed"

    assert mapping.apply({}) == {"t": {"a": "x"}}


@pytest.mark.parametrize(
    "tables", ["tables: [a]", "tables: {t: [a]}", "tables: {1t: {a: b}}", "tables: {null: {a: b}}"]
)
def test_a_table_has_a_name_and_keys(tables: str) -> None:
    with pytest.raises(MappingErrors):
        load_mapping(f"mapping: a/b\nfrom: a.b\nto: c\n{tables}\nmap: {{t: x}}\n", "m.yaml")


# -- the shipped mappings --------------------------------------------------------------------------------------------------

registry = Registry.discover()
folder = MappingFolder.standard()
names = dict.fromkeys(MAPPING_NAMES, OBJECT.or_null())


@pytest.mark.parametrize("name", folder.names())
def test_a_shipped_mapping_has_no_problem(name: str) -> None:
    mapping = folder.get(name)

    assert mapping is not None
    assert (
        check_mapping(mapping.document, registry.schema(mapping.source), registry.schema(mapping.target), names) == []
    )


@pytest.mark.parametrize(
    ("name", "old", "new", "rule"),
    [
        ("shopify/order", "totalTaxSet.shopMoney", "totalTaxesSet.shopMoney", "unknown-field"),
        ("shopify/order", "paid.status == 'SUCCESS'", "paid.status == 'SUCCEEDED'", "unknown-choice"),
        ("shopify/order", "total: money(totalPriceSet.shopMoney.amount, cur)", "total: number(totalPriceSet.shopMoney.amount)", "float-money"),
        ("shopify/order", "total: money(totalPriceSet.shopMoney.amount, cur)", "total: money(totalPriceSet.presentmentMoney.amount, totalPriceSet.shopMoney.currencyCode)", "missing-currency"),
        ("shopify/order", "quantity: line.quantity", "quantity: line.sku", "type-mismatch"),
        ("shopify/order", "placed_at: instant", "placedAt: instant", "missing-field"),
        ("shopify/order", "\"'gift_card' if line.isGiftCard else 'product'\"", "\"'giftcard' if line.isGiftCard else 'product'\"", "unknown-choice"),
        ("quickbooks/invoice", "Amount: amount(line.net)", "Amount: line.net", "type-mismatch"),
        ("quickbooks/invoice", "Amount: amount(line.net)", "Amount: round(amount(line.net) * 1.2, 2)", "float-money"),
        ("quickbooks/invoice", "DetailType: \"'TaxLineDetail'\"", "DetailType: \"'TaxLine'\"", "unknown-choice"),
        ("quickbooks/payment", "part.invoice.number", "part.invoice.nummber", "unknown-field"),
        ("shipbob/shipment", "shipped_at: instant(default(", "shipped_on: instant(default(", "missing-field"),
        ("smtp/invoice", "'Facture ' + number", "'Facture ' + id", "type-mismatch"),
    ],
)  # fmt: skip
def test_a_slip_in_a_shipped_mapping_is_found(name: str, old: str, new: str, rule: str) -> None:
    mapping = folder.get(name)
    text = folder.texts[name]
    assert mapping is not None
    assert old in text

    found = check_mapping(
        text.replace(old, new, 1), registry.schema(mapping.source), registry.schema(mapping.target), names
    )

    assert rule in {each.rule for each in found}


def test_lint_says_it_with_the_place_in_the_file(tmp_path: Path) -> None:
    text = folder.texts["quickbooks/payment"].replace("part.invoice.number", "part.invoice.nummber")
    (tmp_path / "mappings" / "quickbooks").mkdir(parents=True)
    (tmp_path / "mappings" / "quickbooks" / "payment.yaml").write_text(text, "utf-8")

    result = lint(Settings(home=tmp_path, database_url=f"sqlite:///{tmp_path}/hub.sqlite"))

    [problem] = result["problems"]
    assert (problem["file"], problem["rule"]) == ("mappings/quickbooks/payment.yaml", "unknown-field")
    assert "nummber" in text.splitlines()[problem["line"] - 1][problem["column"] - 1 :][:8]
