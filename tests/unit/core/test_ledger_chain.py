"""Canonical bytes and hashes of entries: golden vectors, so that what is stored stays verifiable for ever."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hub.core.ledger import chain

KEY = bytes(range(32))
DAY = date(2026, 11, 24)

CONTENT: dict[str, Any] = {
    "ref": "sale:12:1",
    "journal": "VE",
    "kind": "sale",
    "label": 'Facture "Émilie" \\ 1',
    "fact_date": DAY,
    "document_ref": "F2026-000001",
    "party_id": 7,
    "reverses_id": None,
    "corrects_id": 3,
    "lines": [
        ("411900", 8267, "EUR", 7, None),
        ("707100", -6889, "EUR", None, "FR-20"),
        ("445711", -1378, "EUR", None, "FR-20"),
    ],
}
HEADER: dict[str, Any] = {
    "merchant_id": 1,
    "book_id": 1000,
    "entry_id": 1040,
    "seq": 1,
    "effective_date": DAY,
    "origin_date": None,
    "recorded_at": 1_795_507_200_000_000,
    "data_key_id": 1,
    "payload": bytes.fromhex("11" * 32),
    "previous": chain.GENESIS,
}


def test_golden_content() -> None:
    made = chain.content(**CONTENT)
    assert made.decode() == (
        '{"corrects":3,"date":"2026-11-24","document":"F2026-000001","journal":"VE","kind":"sale",'
        '"label":"Facture \\"Émilie\\" \\\\ 1","party":7,"postings":['
        '{"account":"411900","amount":8267,"currency":"EUR","party":7,"vat_code":null},'
        '{"account":"707100","amount":-6889,"currency":"EUR","party":null,"vat_code":"FR-20"},'
        '{"account":"445711","amount":-1378,"currency":"EUR","party":null,"vat_code":"FR-20"}'
        '],"ref":"sale:12:1","reverses":null}'
    )
    assert chain.payload_hash(made).hex() == "9412034b9532631e70a0cec7ab3d6f0c619ad968a5097dae279d6f4ab9d021be"


def test_golden_header_and_chain_hash() -> None:
    made = chain.header(**HEADER)
    assert made.decode() == (
        '{"book":1000,"effective_date":"2026-11-24","entry":1040,"key":1,"merchant":1,"origin_date":null,'
        f'"payload":"{"11" * 32}","previous":"{"00" * 32}","recorded_at":1795507200000000,"seq":1,"version":1}}'
    )
    assert chain.chain_hash(KEY, made).hex() == "2f202d12092c220a13c0bbadfdb22ff14b68b00e9bfd0f288db7f0d3227f4596"


def test_an_origin_date_is_part_of_the_header() -> None:
    late = chain.header(**{**HEADER, "origin_date": date(2026, 10, 31)})
    assert b'"origin_date":"2026-10-31"' in late


def test_composed_and_decomposed_text_are_the_same_content() -> None:
    composed = chain.content(**{**CONTENT, "label": "\u00c9mile"})
    decomposed = chain.content(**{**CONTENT, "label": "E\u0301mile"})
    assert composed == decomposed


@given(
    label=st.text(),
    ref=st.text(min_size=1),
    lines=st.lists(
        st.tuples(
            st.text(),
            st.integers(-(2**63), 2**63 - 1),
            st.sampled_from(["EUR", "USD"]),
            st.none() | st.integers(1),
            st.none() | st.text(),
        )
    ),
)
def test_content_is_json_with_sorted_keys(label: str, ref: str, lines: list[chain.Line]) -> None:
    made = chain.content(**{**CONTENT, "label": label, "ref": ref, "lines": lines})
    read = json.loads(made)
    again = json.dumps(read, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert again == made


@given(index=st.integers(0, 2), part=st.integers(0, 4))
def test_every_part_of_every_posting_changes_the_content(index: int, part: int) -> None:
    lines = [list(line) for line in CONTENT["lines"]]
    lines[index][part] = 99 if part in (1, 3) else "other"
    assert chain.content(**{**CONTENT, "lines": lines}) != chain.content(**CONTENT)
