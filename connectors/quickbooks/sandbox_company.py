"""What a QuickBooks company is made of: the kinds of records, the chart of accounts, the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from . import sandbox_bodies as bodies

Record = dict[str, Any]

PACIFIC = ZoneInfo("America/Los_Angeles")  # the vendor's stamps carry this offset, whatever the company's zone
CURRENCIES = {"EUR": "Euro", "USD": "United States Dollar", "GBP": "British Pound Sterling", "CHF": "Swiss Franc"}


@dataclass(frozen=True)
class Kind:
    """One kind of record: its word in the path, its name in JSON, the body it takes and what may be done to it."""

    path: str
    name: str
    body: type[bodies.Body] | None  # None: read only
    sequence: str  # records of one sequence share their counter of ids
    can: frozenset[str] = frozenset()


_SALE = frozenset({"create", "update", "delete", "void"})
KINDS: Mapping[str, Kind] = {
    kind.path: kind
    for kind in (
        Kind("customer", "Customer", bodies.Customer, "name", frozenset({"create", "update"})),
        Kind("item", "Item", bodies.Item, "item", frozenset({"create", "update"})),
        Kind("account", "Account", bodies.Account, "account", frozenset({"create", "update"})),
        Kind("invoice", "Invoice", bodies.Invoice, "transaction", _SALE),
        Kind("salesreceipt", "SalesReceipt", bodies.SalesReceipt, "transaction", _SALE),
        Kind("creditmemo", "CreditMemo", bodies.CreditMemo, "transaction", _SALE),
        Kind("refundreceipt", "RefundReceipt", bodies.RefundReceipt, "transaction", _SALE),
        Kind("payment", "Payment", bodies.Payment, "transaction", _SALE),
        Kind("journalentry", "JournalEntry", bodies.JournalEntry, "transaction", _SALE - {"void"}),
        Kind("taxcode", "TaxCode", None, "taxcode"),
        Kind("taxrate", "TaxRate", None, "taxrate"),
        Kind("taxagency", "TaxAgency", None, "taxagency"),
        Kind("paymentmethod", "PaymentMethod", None, "paymentmethod"),
    )
}
BY_NAME = {kind.name: kind for kind in KINDS.values()}
SALES = ("invoice", "salesreceipt", "creditmemo", "refundreceipt")
# What the sandbox computes or keeps itself; sent back by a full update and not read.
COMPUTED = frozenset(
    {
        *(
            "Id",
            "SyncToken",
            "MetaData",
            "domain",
            "sparse",
            "LinkedTxn",
            "Balance",
            "BalanceWithJobs",
            "RemainingCredit",
        ),
        *("UnappliedAmt", "FullyQualifiedName", "Classification", "CurrentBalance", "CurrentBalanceWithSubAccounts"),
        *("TotalAmt", "SubAccount"),
    }
)
CLASSIFICATION = {
    **dict.fromkeys(("Bank", "Accounts Receivable", "Other Current Asset", "Fixed Asset", "Other Asset"), "Asset"),
    **dict.fromkeys(
        ("Accounts Payable", "Credit Card", "Other Current Liability", "Long Term Liability"),
        "Liability",
    ),
    "Equity": "Equity",
    **dict.fromkeys(("Income", "Other Income"), "Revenue"),
    **dict.fromkeys(("Cost of Goods Sold", "Expense", "Other Expense"), "Expense"),
}
# Name, number, type, subtype; their ids are 1, 2, 3...
CHART: Sequence[tuple[str, str, str, str]] = (
    ("Accounts Receivable (A/R)", "411000", "Accounts Receivable", "AccountsReceivable"),
    ("Sales of Product Income", "707000", "Income", "SalesOfProductIncome"),
    ("Shipping Income", "708500", "Income", "OtherPrimaryIncome"),
    ("Undeposited Funds", "511000", "Other Current Asset", "UndepositedFunds"),
    ("Bank", "512000", "Bank", "Checking"),
    ("Payment Gateway Clearing", "511700", "Other Current Asset", "OtherCurrentAssets"),
    ("Discounts given", "709000", "Income", "DiscountsRefundsGiven"),
    ("VAT Payable", "445710", "Other Current Liability", "GlobalTaxPayable"),
    ("Bank Charges", "627000", "Expense", "BankCharges"),
    ("Cost of Goods Sold", "607000", "Cost of Goods Sold", "SuppliesMaterialsCogs"),
    ("Inventory Asset", "370000", "Other Current Asset", "Inventory"),
    ("Accounts Payable (A/P)", "401000", "Accounts Payable", "AccountsPayable"),
    ("Gift Cards Outstanding", "419100", "Other Current Liability", "OtherCurrentLiabilities"),
)
RECEIVABLE, INCOME, UNDEPOSITED, DISCOUNTS, TAX_PAYABLE = "1", "2", "4", "7", "8"
TAX_RATES: Sequence[tuple[str, str]] = (
    ("TVA 20", "20"),
    ("TVA 10", "10"),
    ("TVA 5.5", "5.5"),
    ("TVA 2.1", "2.1"),
    ("TVA 0", "0"),
)


@dataclass
class Settings:
    """What a company can be told to be; the words of `create` in `sandbox.py`."""

    realm_id: str
    company_name: str
    company_currency: str
    multicurrency: bool
    warn_duplicate_doc_numbers: bool
    custom_transaction_numbers: bool  # then a document without DocNumber stays without
    closing_date: date | None
    tax_override_tolerance: Decimal
    tax_rates: Sequence[tuple[str, str]]
    clock: Callable[[], datetime]
