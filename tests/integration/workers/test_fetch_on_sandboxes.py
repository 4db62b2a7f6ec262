"""`fetch` on the sandbox of a shop, from a flow test as an integrator writes it."""

from __future__ import annotations

from pathlib import Path

from hub.workers.flowtest import run_file

FLOW = """
flow: tell-total
on: {manual: look}
steps:
  - fetch: {role: shop, record: order, id: record.id, as: found}
  - when: {if: found == None, steps: [{stop: no such order}]}
  - deliver:
      role: mail
      operation: message.send
      key: "'total:' + found.name"
      body: "{'to': ['sales@example.org'], 'subject': found.name, 'text': found.currentTotalPriceSet.shopMoney.amount}"
"""
TEST = """
flows: [tell-total]
roles: {shop: shopify, mail: smtp}
stock: {BOL-01: 10}
tests:
  - name: the order is read as it is in the shop
    given:
      - sandbox: shop
        post: orders
        body: {number: 1001, lines: [{sku: BOL-01, quantity: 2}], pay: true}
      - {manual: look, record: {id: ID}}
      - {manual: look, record: {id: "1"}}
    answers: [{role: shop, match: OrderHeader, status: 502, times: FAILS}]
    expect:
      deliveries: [{operation: message.send, state: confirmed, body: {subject: "#1001", text: "TOTAL"}}]
      questions: []
      runs: [{flow: tell-total, state: done}, {flow: tell-total, state: stopped, reason: no such order}]
"""


def run(folder: Path, **values: str) -> list[dict[str, str]]:
    (folder / "flows").mkdir(exist_ok=True)
    (folder / "flows" / "tell-total.yaml").write_text(FLOW, "utf-8")
    text = TEST
    for name, value in values.items():
        text = text.replace(name, value)
    (folder / "flows" / "tell-total.test.yaml").write_text(text, "utf-8")
    result = run_file(folder / "flows" / "tell-total.test.yaml")
    assert result.problems == []
    return result.cases[0].failures


def test_an_order_is_read_and_one_that_is_not_there_is_null(tmp_path: Path) -> None:
    assert run(tmp_path, ID="9100000000000001", FAILS="3", TOTAL="20") == []
