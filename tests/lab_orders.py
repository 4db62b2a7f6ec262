"""Orders of the lab: how they are mapped and booked."""

from __future__ import annotations

from typing import Any

ORDERS = """
flow: orders
on: {role: shop, record: order}
steps:
  - map: order
  - order.sync: {invoice: on_payment, reserve_at: main}
  - validate: {that: "default(record.note, '') != 'refuse me'", else: refused after it was planned}
"""
ORDER = """
mapping: lab/order
from: lab.order
to: order
map:
  external_id: text(id)
  header:
    map:
      as_of: at
      name: "'#' + text(id)"
      placed_at: at
      currency: default(currency, 'EUR')
      prices_include_tax: "true"
      financial_status: "'PAID'"
      total: money(default(total, '12.00'), default(currency, 'EUR'))
      total_tax: money('2.00', default(currency, 'EUR'))
      current_total: money(default(total, '12.00'), default(currency, 'EUR'))
      outstanding: money('0', default(currency, 'EUR'))
      party: {map: {external_id: "'7'", name: "'Ada'"}}
      shipping_address: {map: {line1: "'1 rue'", city: "'Paris'", postcode: "'75001'", country: "'FR'"}}
  lines:
    map:
      as_of: at
      items: "[line]"
  payments:
    map:
      as_of: at
      items: "[{'external_id': 'p' + text(id), 'kind': 'payment', 'gateway': 'stripe', 'amount': money(default(total, '12.00'), default(currency, 'EUR')), 'paid_at': at}]"
  refunds: {map: {as_of: at, items: "[]"}}
  fulfilments: {map: {as_of: at, items: "[]"}}
let:
  line: >-
    {'external_id': '1', 'sku': lines[0].sku, 'title': 'Mug', 'quantity': lines[0].quantity, 'current_quantity': lines[0].quantity,
    'unit_price': money(default(price, '12.00'), default(currency, 'EUR')), 'gross': money('12.00', default(currency, 'EUR')), 'requires_shipping': true,
    'taxes': [{'title': 'TVA', 'rate': number('0.2'), 'amount': money('2.00', default(currency, 'EUR'))}]}
"""


def order(number: int = 1, sku: str = "MUG", quantity: Any = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "at": "2026-11-24T08:00:00Z", "lines": [{"sku": sku, "quantity": quantity}], **more}
