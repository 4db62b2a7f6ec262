"""The books of the QuickBooks sandbox: one company's lists and transactions, and every rule they keep."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from threading import RLock
from typing import Any
from zoneinfo import ZoneInfo

from . import sandbox_bodies as bodies
from .sandbox_bodies import Refused, bad_value, business, missing, not_found, parse, unsupported
from .sandbox_tax import CENT, ZERO, Rate, cents, totals

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


class Books:
    """All records of one company, in memory. Methods that change them hold `lock`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lock = RLock()
        self.records: dict[str, dict[str, Record]] = {path: {} for path in KINDS}
        self.tombstones: list[Record] = []
        self.changes: list[tuple[str, str, str, datetime]] = []  # kind, id, created|updated|deleted|voided, when
        self._last: dict[str, int] = {}
        self._doc_number = 1000
        # What each payment applies to each invoice or credit memo: (kind, id) -> {payment id: amount}.
        self._applied: dict[tuple[str, str], dict[str, Decimal]] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._numbers: dict[tuple[str, str], list[str]] = {}
        self._seed()

    # -- reading ---------------------------------------------------------------------------------------------------------

    def stamp(self, fraction: bool = False) -> str:
        """Now, as the vendor writes it."""
        return self.settings.clock().astimezone(PACIFIC).isoformat(timespec="milliseconds" if fraction else "seconds")

    def read(self, path: str, identity: str) -> Record:
        """A copy of one record, refused with 610 when it is not there."""
        with self.lock:
            record = self.records[path].get(identity)
            if record is None:
                raise not_found(KINDS[path].name, identity)
            return self._served(path, record)

    def all(self, name: str) -> list[Record]:
        """Copies of all records of the kind with this JSON name, by id."""
        if name == "CompanyInfo":
            return [self.company()]
        path = BY_NAME[name].path
        with self.lock:
            return [self._served(path, record) for record in self.records[path].values()]

    def company(self) -> Record:
        """CompanyInfo."""
        return {
            "domain": "QBO",
            "sparse": False,
            "Id": "1",
            "SyncToken": "0",
            "MetaData": {"CreateTime": "2026-01-01T00:00:00-08:00", "LastUpdatedTime": "2026-01-01T00:00:00-08:00"},
            "CompanyName": self.settings.company_name,
            "LegalName": self.settings.company_name,
            "Country": "FR",
            "FiscalYearStartMonth": "January",
            "SupportedLanguages": "en",
        }

    def changed_since(self, name: str, since: datetime) -> list[Record]:
        """Records changed and deleted since an instant."""
        path = BY_NAME[name].path
        with self.lock:
            changed = [
                self._served(path, record)
                for record in self.records[path].values()
                if datetime.fromisoformat(record["MetaData"]["LastUpdatedTime"]) >= since
            ]
            gone = [
                {key: value for key, value in tombstone.items() if key != "entity"}
                for tombstone in self.tombstones
                if tombstone["entity"] == path
                and datetime.fromisoformat(tombstone["MetaData"]["LastUpdatedTime"]) >= since
            ]
            return changed + gone

    def dump(self) -> dict[str, Any]:
        """Every record as it is served, the deleted ones, and the balance of each account (debit positive)."""
        with self.lock:
            lists: dict[str, Any] = {kind.path: self.all(kind.name) for kind in KINDS.values()}
            return {
                "realm": self.settings.realm_id,
                "currency": self.settings.company_currency,
                **lists,
                "deleted": copy.deepcopy(self.tombstones),
                "balances": self.balances(),
            }

    def _served(self, path: str, record: Record) -> Record:
        copied = copy.deepcopy(record)
        if path == "customer":
            copied["Balance"] = copied["BalanceWithJobs"] = self._owed(record["Id"])
        return copied

    def _owed(self, customer: str) -> Decimal:
        owed = ZERO
        signs = (("invoice", "Balance", 1), ("creditmemo", "RemainingCredit", -1), ("payment", "UnappliedAmt", -1))
        for path, field, sign in signs:
            for record in self.records[path].values():
                if record["CustomerRef"]["value"] == customer:
                    owed += sign * record[field]
        return owed

    def balances(self) -> dict[str, Decimal]:
        """Account id -> balance, debits positive, worked out from all transactions; they add up to zero."""
        sums: dict[str, Decimal] = {}

        def post(account: str, amount: Decimal) -> None:
            sums[account] = sums.get(account, ZERO) + amount

        for path in SALES:
            sign = 1 if path in ("invoice", "salesreceipt") else -1
            for record in self.records[path].values():
                tax = record["TxnTaxDetail"]["TotalTax"]
                own = (record.get("DepositToAccountRef") or {}).get("value", UNDEPOSITED)
                post(RECEIVABLE if path in ("invoice", "creditmemo") else own, sign * record["TotalAmt"])
                post(TAX_PAYABLE, -sign * tax)
                rest = record["TotalAmt"] - tax
                lines = record["Line"]
                for line in lines:
                    if line["DetailType"] == "DiscountLineDetail":
                        account = (line["DiscountLineDetail"].get("DiscountAccountRef") or {}).get("value", DISCOUNTS)
                        post(account, sign * line["Amount"])
                        rest += line["Amount"]
                sold = [line for line in lines if line["DetailType"] == "SalesItemLineDetail"]
                for number, line in enumerate(sold, 1):
                    item = self.records["item"][line["SalesItemLineDetail"]["ItemRef"]["value"]]
                    # With TaxInclusive the lines hold tax: the last line takes what is left of the net amount.
                    gross = sum((each["Amount"] for each in sold), ZERO)
                    share = cents((record["TotalAmt"] - tax) * line["Amount"] / gross) if gross else ZERO
                    inclusive = record["GlobalTaxCalculation"] == "TaxInclusive"
                    part = rest if number == len(sold) else share if inclusive else line["Amount"]
                    rest -= part
                    post((item.get("IncomeAccountRef") or {}).get("value", INCOME), -sign * part)
        for record in self.records["payment"].values():
            post(record["DepositToAccountRef"]["value"], record["TotalAmt"])
            post(RECEIVABLE, -record["TotalAmt"])
        for record in self.records["journalentry"].values():
            for line in record["Line"]:
                detail = line.get("JournalEntryLineDetail")
                if detail:
                    post(
                        detail["AccountRef"]["value"], line["Amount"] * (1 if detail["PostingType"] == "Debit" else -1)
                    )
        return {account: sums[account] for account in sorted(sums, key=int)}

    # -- writing ---------------------------------------------------------------------------------------------------------

    def write(self, path: str, value: object, operation: str | None, include: str | None) -> Record:
        """Create, update, delete or void a record by the vendor's rules; gives the record as served."""
        kind = KINDS.get(path)
        if kind is None or kind.body is None:
            raise unsupported(path)
        sent = parse(kind.body, value)
        identity = sent.get("Id")
        if operation == "update" and include == "void":
            operation = "void"
        wanted = operation if operation in ("delete", "void") else "update" if identity else "create"
        if operation not in (None, "update", "delete", "void") or wanted not in kind.can:
            raise unsupported(f"{wanted if operation in (None, 'update') else operation} on {path}")
        with self.lock:
            if wanted == "create":
                return self._create(kind, sent)
            existing = self._current(kind, sent)
            if wanted == "delete":
                return self._delete(kind, existing)
            if wanted == "void":
                return self._void(kind, existing)
            return self._update(kind, existing, sent)

    def _create(self, kind: Kind, sent: Record) -> Record:
        wanted = {key: value for key, value in sent.items() if key not in COMPUTED and value is not None}
        record = self._build(kind, wanted, None, sent.get("TotalAmt"))
        identity = self._next(kind.sequence)
        now = self.stamp()
        head = {"domain": "QBO", "sparse": False, "Id": identity, "SyncToken": "0"}
        stored = {**head, "MetaData": {"CreateTime": now, "LastUpdatedTime": now}, **record}
        self.records[kind.path][identity] = stored
        self._index(kind, stored)
        self._note(kind, identity, "created")
        return self._served(kind.path, stored)

    def _current(self, kind: Kind, sent: Record) -> Record:
        identity = sent.get("Id")
        if identity is None:
            raise missing("Id")
        existing = self.records[kind.path].get(identity)
        if existing is None:
            raise not_found(kind.name, identity)
        if sent.get("SyncToken") is None:
            raise missing("SyncToken")
        if sent["SyncToken"] != existing["SyncToken"]:
            detail = (
                f"Stale Object Error : {kind.name} {identity} was changed: SyncToken is {existing['SyncToken']}, "
                f"the request carries {sent['SyncToken']}"
            )
            raise Refused("5010", "Stale Object Error", detail, "SyncToken")
        return existing

    def _update(self, kind: Kind, existing: Record, sent: Record) -> Record:
        own = {key: value for key, value in sent.items() if key not in COMPUTED}
        if sent.get("sparse"):
            kept = {key: value for key, value in existing.items() if key not in COMPUTED}
            if "TxnTaxDetail" not in own and own.keys() & {"Line", "GlobalTaxCalculation", "ApplyTaxAfterDiscount"}:
                kept.pop("TxnTaxDetail", None)  # it belonged to the old lines
            own = {**kept, **own}
        wanted = {key: value for key, value in own.items() if value is not None}
        record = self._build(kind, wanted, existing, sent.get("TotalAmt"))
        self._forget(kind, existing)
        self._change(existing, record)
        self._index(kind, existing)
        self._note(kind, existing["Id"], "updated")
        return self._served(kind.path, existing)

    def _delete(self, kind: Kind, existing: Record) -> Record:
        self._forget(kind, existing)
        self._unlink(kind, existing["Id"])
        del self.records[kind.path][existing["Id"]]
        gone = {"domain": "QBO", "status": "Deleted", "Id": existing["Id"]}
        self.tombstones.append({"entity": kind.path, **gone, "MetaData": {"LastUpdatedTime": self.stamp()}})
        self._note(kind, existing["Id"], "deleted")
        return gone

    def _void(self, kind: Kind, existing: Record) -> Record:
        self._forget(kind, existing)
        self._unlink(kind, existing["Id"])
        record = {key: copy.deepcopy(value) for key, value in existing.items() if key not in COMPUTED - {"LinkedTxn"}}
        record["PrivateNote"] = "Voided"
        record["TotalAmt"] = ZERO
        for field in ("Balance", "RemainingCredit", "UnappliedAmt"):
            if field in existing:
                record[field] = ZERO
        if kind.path == "payment":
            record["Line"] = []
        else:
            record["TxnTaxDetail"] = {"TotalTax": ZERO}
        record["LinkedTxn"] = []
        for line in record["Line"]:
            line["Amount"] = ZERO
            detail = line.get("SalesItemLineDetail", {})
            detail.update({field: 0 for field in ("Qty", "TaxInclusiveAmt") if field in detail})
        self._change(existing, record)
        self._index(kind, existing)
        self._note(kind, existing["Id"], "voided")
        return self._served(kind.path, existing)

    def _change(self, existing: Record, record: Record) -> None:
        created = existing["MetaData"]["CreateTime"]
        head = {
            "domain": "QBO",
            "sparse": False,
            "Id": existing["Id"],
            "SyncToken": str(int(existing["SyncToken"]) + 1),
        }
        existing.clear()
        existing.update(head, MetaData={"CreateTime": created, "LastUpdatedTime": self.stamp()}, **record)

    def _touch(self, record: Record) -> None:
        # The vendor does not say whether an applied payment moves the invoice's token; the harder case for a caller is that it
        # does.
        record["SyncToken"] = str(int(record["SyncToken"]) + 1)
        record["MetaData"]["LastUpdatedTime"] = self.stamp()

    def _next(self, sequence: str) -> str:
        self._last[sequence] = self._last.get(sequence, 0) + 1
        return str(self._last[sequence])

    def _note(self, kind: Kind, identity: str, what: str) -> None:
        self.changes.append((kind.path, identity, what, self.settings.clock()))

    # -- building --------------------------------------------------------------------------------------------------------

    def _build(self, kind: Kind, wanted: Record, existing: Record | None, total: Decimal | None) -> Record:
        identity = existing["Id"] if existing else None
        match kind.path:
            case "customer":
                return self._customer(wanted, existing)
            case "item":
                return self._item(wanted, identity)
            case "account":
                return self._account(wanted, identity)
            case "payment":
                return self._payment(wanted, existing, total)
            case "journalentry":
                return self._journal_entry(kind, wanted, identity)
            case _:
                return self._sale(kind, wanted, existing, total)

    def _customer(self, wanted: Record, existing: Record | None) -> Record:
        names = [
            wanted[part] for part in ("Title", "GivenName", "MiddleName", "FamilyName", "Suffix") if wanted.get(part)
        ]
        name = wanted.get("DisplayName") or " ".join(names) or wanted.get("CompanyName")
        if not name:
            raise missing("DisplayName")
        self._unique("party", name, existing["Id"] if existing else None)
        currency = self._currency(wanted)
        if existing and existing["CurrencyRef"] != currency:
            raise business("The currency of a customer cannot be changed.", "CurrencyRef")
        defaults = {"Taxable": True, "Job": False, "BillWithParent": False, "PreferredDeliveryMethod": "Print"}
        return {
            **defaults,
            "Active": True,
            **wanted,
            "DisplayName": name,
            "FullyQualifiedName": name,
            "PrintOnCheckName": wanted.get("PrintOnCheckName", wanted.get("CompanyName", name)),
            "CurrencyRef": currency,
            "Balance": ZERO,
            "BalanceWithJobs": ZERO,
        }

    def _item(self, wanted: Record, identity: str | None) -> Record:
        for field in ("Name", "Type"):
            if wanted.get(field) is None:
                raise missing(field)
        self._unique("item", wanted["Name"], identity)
        needed = ["IncomeAccountRef"]
        if wanted["Type"] == "Inventory":
            needed += ["AssetAccountRef", "ExpenseAccountRef", "QtyOnHand", "InvStartDate"]
            if not wanted.get("TrackQtyOnHand"):
                raise missing("TrackQtyOnHand")
        for field in needed:
            if wanted.get(field) is None:
                raise missing(field)
        for field in ("IncomeAccountRef", "ExpenseAccountRef", "AssetAccountRef"):
            self._reference(wanted, field, "account")
        self._reference(wanted, "SalesTaxCodeRef", "taxcode")
        record = {"Active": True, "Taxable": True, "UnitPrice": ZERO, "TrackQtyOnHand": False, **wanted}
        if identity is not None and "QtyOnHand" in self.records["item"][identity]:
            # The quantity on hand is set at creation only; later only transactions move it.
            record["QtyOnHand"] = self.records["item"][identity]["QtyOnHand"]
        return {**record, "FullyQualifiedName": wanted["Name"]}

    def _account(self, wanted: Record, identity: str | None) -> Record:
        for field in ("Name", "AccountType"):
            if wanted.get(field) is None:
                raise missing(field)
        if wanted["AccountType"] not in CLASSIFICATION:
            raise bad_value("AccountType", f"Account type {wanted['AccountType']} is not supported")
        self._unique("account", wanted["Name"], identity)
        return {
            "Active": True,
            "SubAccount": False,
            **wanted,
            "FullyQualifiedName": wanted["Name"],
            "Classification": CLASSIFICATION[wanted["AccountType"]],
            "CurrencyRef": self._currency(wanted),
        }

    def _sale(self, kind: Kind, wanted: Record, existing: Record | None, total: Decimal | None) -> Record:
        path = kind.path
        if wanted.get("CustomerRef") is None and path in ("invoice", "creditmemo"):
            raise missing("CustomerRef")
        if path == "refundreceipt" and wanted.get("DepositToAccountRef") is None:
            raise missing("DepositToAccountRef")
        mode = wanted.get("GlobalTaxCalculation")
        if mode is None:  # needed outside the United States
            raise missing("GlobalTaxCalculation")
        record = self._header(kind, wanted, existing["Id"] if existing else None)
        lines = [self._sale_line(line, mode) for line in wanted.get("Line") or []]
        lines = [line for line in lines if line["DetailType"] != "SubTotalLineDetail"]
        if not any(line["DetailType"] == "SalesItemLineDetail" for line in lines):
            raise missing("Line")
        discount_first = wanted.get("ApplyTaxAfterDiscount", True)
        made = totals(
            lines,
            mode,
            {code: self._rates(code) for code in self.records["taxcode"]},
            discount_first=discount_first,
            given=wanted.get("TxnTaxDetail"),
            tolerance=self.settings.tax_override_tolerance,
        )
        if total is not None and total != made.total:
            raise business(f"TotalAmt: computed {made.total}, given {total}.", "TotalAmt")
        discounts = iter(made.discounts)
        for line in lines:
            if line["DetailType"] == "DiscountLineDetail":
                line["Amount"] = next(discounts)
        _number_lines(lines)
        lines.append({"Amount": made.subtotal, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}})
        record |= {
            "Line": lines,
            "GlobalTaxCalculation": mode,
            "ApplyTaxAfterDiscount": discount_first,
            "TxnTaxDetail": made.tax,
            "TotalAmt": made.total,
            "LinkedTxn": existing["LinkedTxn"] if existing else [],
        }
        record.setdefault("PrintStatus", "NeedToPrint")
        record.setdefault("EmailStatus", "NotSet")
        if path == "invoice":
            record.setdefault("DueDate", record["TxnDate"])
        if path in ("salesreceipt", "refundreceipt"):
            record.setdefault("DepositToAccountRef", self._ref("account", UNDEPOSITED))
            record["Balance"] = ZERO
            return record
        applied = sum(self._applied.get((path, existing["Id"]), {}).values(), ZERO) if existing else ZERO
        if applied > made.total:
            raise business(f"The total {made.total} is below the {applied} already applied.", "TotalAmt")
        if existing and applied and record["CustomerRef"]["value"] != existing["CustomerRef"]["value"]:
            raise business("The customer of a transaction with payments cannot be changed.", "CustomerRef")
        record["Balance"] = made.total - applied
        if path == "creditmemo":
            record["RemainingCredit"] = record["Balance"]
        return record

    def _sale_line(self, sent: Record, mode: str) -> Record:
        line = {key: value for key, value in sent.items() if value is not None}
        kind = line.get("DetailType")
        if kind is None:
            raise missing("Line.DetailType")
        if kind == "JournalEntryLineDetail":
            raise bad_value("Line.DetailType", f"{kind} is not allowed in this transaction")
        if kind in ("DiscountLineDetail", "SalesItemLineDetail") and line.get(kind) is None:
            raise missing(f"Line.{kind}")
        if kind == "DiscountLineDetail":
            self._reference(line[kind], "DiscountAccountRef", "account")
        if kind != "SalesItemLineDetail":
            return line
        detail = {key: value for key, value in line[kind].items() if value is not None}
        line[kind] = detail
        if line.get("Amount") is None:
            raise missing("Line.Amount")
        if detail.get("ItemRef") is None:
            raise missing("Line.SalesItemLineDetail.ItemRef")
        self._reference(detail, "ItemRef", "item")
        quantity, price = detail.get("Qty"), detail.get("UnitPrice")
        if quantity is not None and price is not None and cents(Decimal(quantity) * price) != line["Amount"]:
            text = f"Amount is not equal to UnitPrice * Qty. Supplied value:{line['Amount']}"
            raise Refused("6070", "Amount calculation incorrect in the request", text, "Line.Amount")
        if mode != "NotApplicable" and detail.get("TaxCodeRef") is None:
            raise business("Make sure all your transactions have a VAT rate before you save.", "TaxCodeRef")
        self._reference(detail, "TaxCodeRef", "taxcode")
        if mode == "TaxInclusive":
            detail["TaxInclusiveAmt"] = line["Amount"]
        return line

    def _header(self, kind: Kind, wanted: Record, identity: str | None) -> Record:
        """What all transactions share: date, number, currency, customer, references."""
        record = {key: value for key, value in wanted.items() if key not in ("Line", "TxnTaxDetail")}
        record["TxnDate"] = record.get("TxnDate") or self.settings.clock().astimezone(UTC).date().isoformat()
        closed = self.settings.closing_date
        if closed and date.fromisoformat(record["TxnDate"]) <= closed:
            text = f"The account period has closed on {closed}; the transaction is of {record['TxnDate']}"
            raise Refused("6210", "Account Period Closed, Cannot Update Through Services API", text, "TxnDate")
        self._reference(record, "CustomerRef", "customer")
        for field in ("DepositToAccountRef", "ARAccountRef"):
            self._reference(record, field, "account")
        self._reference(record, "PaymentMethodRef", "paymentmethod")
        record["CurrencyRef"] = self._currency(wanted)
        if record.get("CustomerRef"):
            customer = self.records["customer"][record["CustomerRef"]["value"]]
            if customer["CurrencyRef"]["value"] != record["CurrencyRef"]["value"]:
                raise business("The currency of the transaction is not the currency of the customer.", "CurrencyRef")
        if kind.path != "payment":
            self._doc_number_of(kind, record, identity)
        return record

    def _doc_number_of(self, kind: Kind, record: Record, identity: str | None) -> None:
        number = record.get("DocNumber")
        if not number:
            if self.settings.custom_transaction_numbers or kind.path == "journalentry":
                return
            while not number or (kind.path, number) in self._numbers:
                self._doc_number += 1
                number = str(self._doc_number)
            record["DocNumber"] = number
        holders = [holder for holder in self._numbers.get((kind.path, number), []) if holder != identity]
        if holders and self.settings.warn_duplicate_doc_numbers:
            detail = (
                "Duplicate Document Number Error : You must specify a different number. This number has already been used. "
                f"DocNumber={number} is assigned to TxnType={kind.name} with TxnId={holders[0]}"
            )
            raise Refused("6140", "Duplicate Document Number Error", detail, "DocNumber")

    def _payment(self, wanted: Record, existing: Record | None, total: Decimal | None) -> Record:
        if wanted.get("CustomerRef") is None:
            raise missing("CustomerRef")
        if total is None:
            if existing is None:
                raise missing("TotalAmt")
            total = existing["TotalAmt"]
        if total < 0:
            raise business("Transaction amount must be 0 or greater.", "TotalAmt")
        identity = existing["Id"] if existing else ""
        record = self._header(KINDS["payment"], wanted, identity)
        record.setdefault("DepositToAccountRef", self._ref("account", UNDEPOSITED))
        lines, sums = [], {"invoice": ZERO, "creditmemo": ZERO}
        seen: set[tuple[str, str]] = set()
        for sent in wanted.get("Line") or []:
            key, amount = self._payment_line(sent, record, identity)
            if key in seen:
                raise business(f"{KINDS[key[0]].name} {key[1]} is linked twice.", "LinkedTxn")
            seen.add(key)
            sums[key[0]] += amount
            lines.append({"Amount": amount, "LinkedTxn": [{"TxnId": key[1], "TxnType": KINDS[key[0]].name}]})
        left = total + sums["creditmemo"] - sums["invoice"]
        if left < 0:
            raise business(
                f"The amounts applied ({sums['invoice']}) are above the payment and its credits "
                f"({total + sums['creditmemo']}).",
                "TotalAmt",
            )
        if left > total:
            raise business("More credit is applied than there are invoices to take it.", "TotalAmt")
        return {**record, "TotalAmt": total, "UnappliedAmt": left, "ProcessPayment": False, "Line": lines}

    def _payment_line(self, sent: Record, payment: Record, identity: str) -> tuple[tuple[str, str], Decimal]:
        links = sent.get("LinkedTxn") or []
        if len(links) != 1:
            raise missing("Line.LinkedTxn") if not links else business("A line links one transaction.", "LinkedTxn")
        amount = sent.get("Amount")
        if amount is None:
            raise missing("Line.Amount")
        kind = BY_NAME.get(links[0]["TxnType"])
        if kind is None or kind.path not in ("invoice", "creditmemo"):
            raise _unlinkable(f"a payment cannot be linked to {links[0]['TxnType']}")
        target = self.records[kind.path].get(links[0]["TxnId"])
        if target is None:
            raise not_found(kind.name, links[0]["TxnId"])
        if target["CustomerRef"]["value"] != payment["CustomerRef"]["value"]:
            raise _unlinkable(f"{kind.name} {target['Id']} belongs to another customer")
        if amount <= 0:
            raise business("The amount of a line must be above 0.", "Line.Amount")
        others = [part for payer, part in self._applied.get((kind.path, target["Id"]), {}).items() if payer != identity]
        open_amount = target["TotalAmt"] - sum(others, ZERO)
        if open_amount == 0:
            raise _unlinkable(f"{kind.name} {target['Id']} has no open balance")
        if amount > open_amount:
            text = f"The amount {amount} is above the open balance {open_amount} of {kind.name} {target['Id']}."
            raise business(text, "Line.Amount")
        return (kind.path, target["Id"]), amount

    def _journal_entry(self, kind: Kind, wanted: Record, identity: str | None) -> Record:
        record = self._header(kind, wanted, identity)
        sums = {"Debit": ZERO, "Credit": ZERO}
        parties = 0
        lines = []
        for sent in wanted.get("Line") or []:
            line = {key: value for key, value in sent.items() if value is not None}
            if line.get("DetailType") == "DescriptionOnly":
                lines.append(line)
                continue
            detail = line.get("JournalEntryLineDetail")
            if line.get("DetailType") != "JournalEntryLineDetail" or detail is None:
                raise missing("Line.JournalEntryLineDetail")
            for field in ("PostingType", "AccountRef"):
                if detail.get(field) is None:
                    raise missing(f"Line.JournalEntryLineDetail.{field}")
            if line.get("Amount") is None:
                raise missing("Line.Amount")
            if line["Amount"] < 0:
                raise business("The amount of a line must be 0 or greater.", "Line.Amount")
            self._reference(detail, "AccountRef", "account")
            kind_of_account = self.records["account"][detail["AccountRef"]["value"]]["AccountType"]
            if kind_of_account in ("Accounts Receivable", "Accounts Payable"):
                parties += 1
                entity = detail.get("Entity") or {}
                if not entity.get("EntityRef"):
                    raise business("When you use Accounts Receivable or Payable, you must choose a name.", "Entity")
                if entity.get("Type") == "Customer":
                    self._reference(entity, "EntityRef", "customer")
            sums[detail["PostingType"]] += line["Amount"]
            lines.append(line)
        if len([line for line in lines if "JournalEntryLineDetail" in line]) < 2:
            raise missing("Line")
        if parties > 1:
            raise business("Only one line may use Accounts Receivable or Payable.", "AccountRef")
        if sums["Debit"] != sums["Credit"]:
            text = f"Please balance debits and credits: debits {sums['Debit']}, credits {sums['Credit']}."
            raise business(text, "Line")
        if sums["Debit"] == 0:
            raise business("The transaction has no amount.", "Line")
        _number_lines(lines)
        return {**record, "Line": lines, "TxnTaxDetail": {}, "Adjustment": record.get("Adjustment", False)}

    # -- references, names and numbers -----------------------------------------------------------------------------------

    def _reference(self, holder: Record, field: str, path: str) -> None:
        """Check a reference and fill its name as the vendor does."""
        ref = holder.get(field)
        if ref is None:
            return
        record = self.records[path].get(ref["value"])
        if record is None or record.get("Active") is False:
            raise not_found(field, ref["value"])
        holder[field] = self._ref(path, ref["value"])

    def _ref(self, path: str, identity: str) -> Record:
        record = self.records[path][identity]
        return {"value": identity, "name": record.get("DisplayName") or record["Name"]}

    def _currency(self, wanted: Record) -> Record:
        code = (wanted.get("CurrencyRef") or {}).get("value", self.settings.company_currency)
        if code != self.settings.company_currency and not self.settings.multicurrency:
            raise business(f"Multicurrency is off; {code} is not the currency of the company.", "CurrencyRef")
        return {"value": code, "name": CURRENCIES.get(code, code)}

    def _rates(self, code: str) -> list[Rate]:
        details = self.records["taxcode"][code]["SalesTaxRateList"]["TaxRateDetail"]
        rates = [self.records["taxrate"][detail["TaxRateRef"]["value"]] for detail in details]
        return [Rate(rate["Id"], rate["Name"], rate["RateValue"]) for rate in rates]

    def _unique(self, space: str, name: str, identity: str | None) -> None:
        holder = self._names.get((space, name.casefold()))
        if holder is not None and holder != identity:
            detail = f"The name supplied already exists. : Id={holder}"
            raise Refused("6240", "Duplicate Name Exists Error", detail, "Name")

    def _index(self, kind: Kind, record: Record) -> None:
        space = {"customer": "party", "item": "item", "account": "account", "taxcode": "taxcode"}.get(kind.path)
        if space:
            self._names[(space, (record.get("DisplayName") or record["Name"]).casefold())] = record["Id"]
        if record.get("DocNumber"):
            self._numbers.setdefault((kind.path, record["DocNumber"]), []).append(record["Id"])
        if kind.path == "payment":
            for line in record["Line"]:
                path, target = _target(line)
                self._applied.setdefault((path, target), {})[record["Id"]] = line["Amount"]
                self._settle((path, target))

    def _forget(self, kind: Kind, record: Record) -> None:
        """Take a record out of the indexes, before it is changed or deleted."""
        space = {"customer": "party", "item": "item", "account": "account"}.get(kind.path)
        if space:
            self._names.pop((space, (record.get("DisplayName") or record["Name"]).casefold()), None)
        if record.get("DocNumber"):
            holders = self._numbers[(kind.path, record["DocNumber"])]
            holders.remove(record["Id"])
            if not holders:
                del self._numbers[(kind.path, record["DocNumber"])]
        if kind.path == "payment":
            for line in record["Line"]:
                key = _target(line)
                self._applied[key].pop(record["Id"], None)
                self._settle(key)

    def _unlink(self, kind: Kind, identity: str) -> None:
        """A document that goes away leaves its payments unapplied."""
        for payer in self._applied.pop((kind.path, identity), {}):
            payment = self.records["payment"][payer]
            payment["Line"] = [line for line in payment["Line"] if _target(line) != (kind.path, identity)]
            sums = {"invoice": ZERO, "creditmemo": ZERO}
            for line in payment["Line"]:
                sums[_target(line)[0]] += line["Amount"]
            payment["UnappliedAmt"] = max(payment["TotalAmt"] + sums["creditmemo"] - sums["invoice"], ZERO)
            self._touch(payment)

    def _settle(self, key: tuple[str, str]) -> None:
        """Bring balance and links of an invoice or credit memo in line with the payments applied to it."""
        path, identity = key
        record = self.records[path].get(identity)
        if record is None:
            return
        payers = self._applied.get(key, {})
        record["Balance"] = record["TotalAmt"] - sum(payers.values(), ZERO)
        if path == "creditmemo":
            record["RemainingCredit"] = record["Balance"]
        record["LinkedTxn"] = [{"TxnId": payer, "TxnType": "Payment"} for payer in payers]
        self._touch(record)

    # -- tax codes, seeds and tampering ----------------------------------------------------------------------------------

    def create_tax_code(self, value: object) -> Record:
        """The tax service: a code with its rates, answered in the form of the request."""
        sent = parse(bodies.TaxService, value)
        name, details = sent.get("TaxCode"), sent.get("TaxRateDetails")
        if not name:
            raise missing("TaxCode")
        if not details:
            raise missing("TaxRateDetails")
        with self.lock:
            self._unique("taxcode", name, None)
            made: list[tuple[Record, Record | None]] = []
            for detail in details:
                made.append(self._tax_rate(detail, [name for _, new in made if new for name in [new["Name"]]]))
            answer = []
            for detail, new in made:
                if new is not None:
                    detail["TaxRateId"] = self._insert("taxrate", new)
                answer.append(detail)
            rate_list = [
                {
                    "TaxRateRef": {"value": detail["TaxRateId"], "name": detail["TaxRateName"]},
                    "TaxTypeApplicable": "TaxOnAmount",
                }
                for detail in answer
                if detail["TaxApplicableOn"] == "Sales"
            ]
            code = {"Name": name, "Description": name, "Active": True, "Taxable": True, "TaxGroup": True}
            identity = self._insert("taxcode", {**code, "SalesTaxRateList": {"TaxRateDetail": rate_list}})
            return {"TaxCode": name, "TaxCodeId": identity, "TaxRateDetails": answer}

    def _tax_rate(self, detail: Record, just_named: Iterable[str]) -> tuple[Record, Record | None]:
        """The detail as answered, and the rate to insert when it is a new one."""
        if detail.get("TaxRateId"):
            rate = self.records["taxrate"].get(detail["TaxRateId"])
            if rate is None:
                raise not_found("TaxRateId", detail["TaxRateId"])
            return {
                "TaxRateName": rate["Name"],
                "TaxRateId": rate["Id"],
                "RateValue": rate["RateValue"],
                "TaxAgencyId": rate["AgencyRef"]["value"],
                "TaxApplicableOn": detail.get("TaxApplicableOn") or "Sales",
            }, None
        for field in ("TaxRateName", "RateValue", "TaxAgencyId"):
            if detail.get(field) is None:
                raise missing(f"TaxRateDetails.{field}")
        if detail["TaxAgencyId"] not in self.records["taxagency"]:
            raise not_found("TaxAgencyId", detail["TaxAgencyId"])
        if not 0 <= detail["RateValue"] <= 100:
            raise bad_value("TaxRateDetails.RateValue", f"Rate {detail['RateValue']} is not between 0 and 100")
        taken = {rate["Name"].casefold(): rate["Id"] for rate in self.records["taxrate"].values()}
        if detail["TaxRateName"].casefold() in taken or detail["TaxRateName"] in just_named:
            text = f"The name supplied already exists. : Id={taken.get(detail['TaxRateName'].casefold())}"
            raise Refused("6240", "Duplicate Name Exists Error", text, "TaxRateName")
        rate_value = Decimal(detail["RateValue"])
        new = {
            "Name": detail["TaxRateName"],
            "Description": detail["TaxRateName"],
            "Active": True,
            "RateValue": rate_value,
            "AgencyRef": {"value": detail["TaxAgencyId"]},
            "SpecialTaxType": "NONE" if rate_value else "ZERO_RATE",
            "DisplayType": "ReadOnly",
        }
        return {**detail, "RateValue": rate_value, "TaxApplicableOn": detail.get("TaxApplicableOn") or "Sales"}, new

    def _insert(self, path: str, record: Record) -> str:
        kind = KINDS[path]
        identity = self._next(kind.sequence)
        now = self.stamp()
        head = {"domain": "QBO", "sparse": False, "Id": identity, "SyncToken": "0"}
        stored = {**head, "MetaData": {"CreateTime": now, "LastUpdatedTime": now}, **record}
        self.records[path][identity] = stored
        self._index(kind, stored)
        return identity

    def _seed(self) -> None:
        for name, number, kind, subtype in CHART:
            sent = {"Name": name, "AcctNum": number, "AccountType": kind, "AccountSubType": subtype}
            self._insert("account", self._account(sent, None))
        self._insert("taxagency", {"DisplayName": "DGFiP", "TaxTrackedOnSales": True, "TaxTrackedOnPurchases": True})
        for name, percent in self.settings.tax_rates:
            details = [{"TaxRateName": name, "RateValue": percent, "TaxAgencyId": "1", "TaxApplicableOn": "Sales"}]
            self.create_tax_code({"TaxCode": name, "TaxRateDetails": details})
        for name in ("Cash", "Cheque", "Credit Card", "PayPal", "Bank Transfer"):
            self._insert("paymentmethod", {"Name": name, "Active": True})
        services = {"Name": "Services", "Type": "Service", "IncomeAccountRef": self._ref("account", INCOME)}
        self._insert("item", self._item(services, None))

    def tamper(self, path: str, identity: str, action: str) -> Record:
        """Do behind a caller's back what a person could: change a total by a cent, delete, enter twice."""
        kind = KINDS.get(path)
        if kind is None or identity not in self.records[path]:
            raise KeyError(f"there is no {path} {identity}")
        with self.lock:
            record = self.records[path][identity]
            if action == "delete":
                return self._delete(kind, record)
            if action == "duplicate":
                twin = copy.deepcopy(record)
                twin["Id"] = self._next(kind.sequence)
                twin["SyncToken"] = "0"
                if path == "payment":
                    twin["Line"], twin["UnappliedAmt"] = [], twin["TotalAmt"]
                elif "Balance" in twin and path in ("invoice", "creditmemo"):
                    twin["LinkedTxn"], twin["Balance"] = [], twin["TotalAmt"]
                self.records[path][twin["Id"]] = twin
                self._index(kind, twin)
                self._note(kind, twin["Id"], "created")
                return self._served(path, twin)
            if action != "add_cent":
                raise KeyError(f"no such action: {action}; known: add_cent, delete, duplicate")
            self._add_cent(path, record)
            self._touch(record)
            self._note(kind, identity, "updated")
            return self._served(path, record)

    def _add_cent(self, path: str, record: Record) -> None:
        if path == "journalentry":
            for side in ("Debit", "Credit"):
                lines = (line for line in record["Line"] if "JournalEntryLineDetail" in line)
                next(line for line in lines if line["JournalEntryLineDetail"]["PostingType"] == side)["Amount"] += CENT
            return
        if "TotalAmt" not in record:
            raise KeyError(f"a {path} has no total")
        record["TotalAmt"] += CENT
        for field in ("Balance", "RemainingCredit", "UnappliedAmt"):
            if field in record and path not in ("salesreceipt", "refundreceipt"):
                record[field] += CENT
        if path in SALES:
            for kind in ("SalesItemLineDetail", "SubTotalLineDetail"):
                line = next(line for line in record["Line"] if line["DetailType"] == kind)
                line["Amount"] += CENT


def _unlinkable(detail: str) -> Refused:
    return Refused("620", "Transaction cannot be linked", f"Transaction cannot be linked : {detail}", "LinkedTxn")


def _target(line: Record) -> tuple[str, str]:
    link = line["LinkedTxn"][0]
    return BY_NAME[link["TxnType"]].path, link["TxnId"]


def _number_lines(lines: list[Record]) -> None:
    """Keep the ids that lines came with, give the others the next ones, and number them in order."""
    used = {line["Id"] for line in lines if line.get("Id")}
    following = 1
    for number, line in enumerate(lines, 1):
        if not line.get("Id"):
            while str(following) in used:
                following += 1
            line["Id"] = str(following)
            used.add(line["Id"])
        line["LineNum"] = number
