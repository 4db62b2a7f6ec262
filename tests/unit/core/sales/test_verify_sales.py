"""What was changed behind the back of the house is found and named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sales_house import House
from sales_shop import Shop

from hub.core.faults import Fault
from hub.core.sales.verify import verify_sales


@pytest.fixture
def sold(house: House) -> Iterator[House]:
    house.stock(MUG_01=10)
    shop = Shop()
    shop.add("MUG-01", 2, 1000)
    shop.pay()
    house.sync(shop.snapshot())
    shop.refund({"L1": 1}, restock="cancel")
    house.sync(shop.snapshot())
    return house


def faults(house: House) -> list[Fault]:
    with house.database.read() as connection:
        return verify_sales(connection, 1)


def tamper(house: House, statement: str) -> None:
    """Changes rows past the seals, as somebody with the file could."""
    with house.database.write() as connection:
        for (name,) in connection.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        connection.exec_driver_sql(statement)


def test_untouched_documents_have_no_fault(sold: House) -> None:
    assert faults(sold) == []


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("UPDATE document SET number = 'F2026-000009' WHERE kind = 'invoice'", "document.number"),
        ("UPDATE series SET next_number = 5 WHERE code = 'invoice:2026'", "document.number"),
        ("UPDATE document_line SET net = net + 1 WHERE id = (SELECT min(id) FROM document_line)", "document.lines"),
        ("UPDATE document SET total_net = total_net + 1, total = total + 1 WHERE kind = 'invoice'", "document.entry"),
        ("UPDATE document SET entry_id = NULL WHERE kind = 'invoice'", "document.entry"),
        ("UPDATE document SET content = x'7b7d' WHERE kind = 'invoice'", "document.content"),
        ("UPDATE sales_order SET current_total = current_total + 5, questions = ''", "order.net"),
    ],
)
def test_a_change_is_found(sold: House, statement: str, check: str) -> None:
    tamper(sold, statement)
    assert check in {fault.check for fault in faults(sold)}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE document SET total = total + 1",
        "DELETE FROM document",
        "UPDATE document_line SET net = net + 1",
        "DELETE FROM document_line",
        "INSERT OR REPLACE INTO document_line SELECT * FROM document_line LIMIT 1",
        "INSERT OR REPLACE INTO document SELECT * FROM document LIMIT 1",
    ],
)
def test_the_database_itself_refuses_to_change_an_issued_document(sold: House, statement: str) -> None:
    with pytest.raises(sa.exc.IntegrityError), sold.database.write() as connection:
        connection.exec_driver_sql(statement)


def test_the_content_of_a_document_may_be_erased(sold: House) -> None:
    with sold.database.write() as connection:
        connection.exec_driver_sql("UPDATE document SET content = NULL")
    assert faults(sold) == []
