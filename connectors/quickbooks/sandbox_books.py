"""The books of the QuickBooks sandbox: create, update, delete, void, and tampering behind the caller's back."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

from .sandbox_balances import balances
from .sandbox_bodies import Refused, missing, not_found, parse, unsupported
from .sandbox_company import CHART, COMPUTED, INCOME, KINDS, SALES, Kind, Record, Settings
from .sandbox_lists import account, customer, item, tax_code
from .sandbox_records import Records
from .sandbox_tax import CENT, ZERO
from .sandbox_transactions import journal_entry, payment, sale


class Books(Records):
    """One company, seeded with a chart of accounts, tax codes and one item."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._seed()

    def dump(self) -> dict[str, Any]:
        """Every record as it is served, the deleted ones, and the balance of each account (debit positive)."""
        with self.lock:
            lists: dict[str, Any] = {kind.path: self.all(kind.name) for kind in KINDS.values()}
            return {
                "realm": self.settings.realm_id,
                "currency": self.settings.company_currency,
                **lists,
                "deleted": copy.deepcopy(self.tombstones),
                "balances": balances(self),
            }

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

    def create_tax_code(self, value: object) -> Record:
        """The tax service."""
        with self.lock:
            return tax_code(self, value)

    def _create(self, kind: Kind, sent: Record) -> Record:
        wanted = {key: value for key, value in sent.items() if key not in COMPUTED and value is not None}
        record = self._build(kind, wanted, None, sent.get("TotalAmt"))
        identity = self.insert(kind.path, record)
        self.note(kind, identity, "created")
        return self.read(kind.path, identity)

    def _current(self, kind: Kind, sent: Record) -> Record:
        identity = sent.get("Id")
        if identity is None:
            raise missing("Id")
        existing = self.lists[kind.path].get(identity)
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
            kept = {key: copy.deepcopy(value) for key, value in existing.items() if key not in COMPUTED}
            if "TxnTaxDetail" not in own and own.keys() & {"Line", "GlobalTaxCalculation", "ApplyTaxAfterDiscount"}:
                kept.pop("TxnTaxDetail", None)  # it belonged to the old lines
            own = {**kept, **own}
        wanted = {key: value for key, value in own.items() if value is not None}
        record = self._build(kind, wanted, existing, sent.get("TotalAmt"))
        self.forget(kind, existing)
        self._change(existing, record)
        self.index(kind, existing)
        self.note(kind, existing["Id"], "updated")
        return self.served(kind.path, existing)

    def _delete(self, kind: Kind, existing: Record) -> Record:
        self.forget(kind, existing)
        self.unlink(kind, existing["Id"])
        del self.lists[kind.path][existing["Id"]]
        gone = {"domain": "QBO", "status": "Deleted", "Id": existing["Id"]}
        self.tombstones.append({"entity": kind.path, **gone, "MetaData": {"LastUpdatedTime": self.stamp()}})
        self.note(kind, existing["Id"], "deleted")
        return gone

    def _void(self, kind: Kind, existing: Record) -> Record:
        self.forget(kind, existing)
        self.unlink(kind, existing["Id"])
        record = {key: copy.deepcopy(value) for key, value in existing.items() if key not in COMPUTED}
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
        self.index(kind, existing)
        self.note(kind, existing["Id"], "voided")
        return self.served(kind.path, existing)

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

    def _build(self, kind: Kind, wanted: Record, existing: Record | None, total: Decimal | None) -> Record:
        identity = existing["Id"] if existing else None
        match kind.path:
            case "customer":
                return customer(self, wanted, existing)
            case "item":
                return item(self, wanted, identity)
            case "account":
                return account(self, wanted, identity)
            case "payment":
                return payment(self, wanted, existing, total)
            case "journalentry":
                return journal_entry(self, kind, wanted, identity)
            case _:
                return sale(self, kind, wanted, existing, total)

    def _seed(self) -> None:
        for name, number, kind, subtype in CHART:
            sent = {"Name": name, "AcctNum": number, "AccountType": kind, "AccountSubType": subtype}
            self.insert("account", account(self, sent, None))
        self.insert("taxagency", {"DisplayName": "DGFiP", "TaxTrackedOnSales": True, "TaxTrackedOnPurchases": True})
        for name, percent in self.settings.tax_rates:
            details = [{"TaxRateName": name, "RateValue": percent, "TaxAgencyId": "1", "TaxApplicableOn": "Sales"}]
            tax_code(self, {"TaxCode": name, "TaxRateDetails": details})
        for name in ("Cash", "Cheque", "Credit Card", "PayPal", "Bank Transfer"):
            self.insert("paymentmethod", {"Name": name, "Active": True})
        services = {"Name": "Services", "Type": "Service", "IncomeAccountRef": self.ref("account", INCOME)}
        self.insert("item", item(self, services, None))

    def tamper(self, path: str, identity: str, action: str) -> Record:
        """Do behind a caller's back what a person could: change a total by a cent, delete, enter twice."""
        kind = KINDS.get(path)
        if kind is None or identity not in self.lists[path]:
            raise KeyError(f"there is no {path} {identity}")
        with self.lock:
            record = self.lists[path][identity]
            if action == "delete":
                return self._delete(kind, record)
            if action == "duplicate":
                twin = copy.deepcopy(record)
                twin["Id"] = self.next_id(kind.sequence)
                twin["SyncToken"] = "0"
                if path == "payment":
                    twin["Line"], twin["UnappliedAmt"] = [], twin["TotalAmt"]
                elif "Balance" in twin and path in ("invoice", "creditmemo"):
                    twin["LinkedTxn"], twin["Balance"] = [], twin["TotalAmt"]
                self.lists[path][twin["Id"]] = twin
                self.index(kind, twin)
                self.note(kind, twin["Id"], "created")
                return self.served(path, twin)
            if action != "add_cent":
                raise KeyError(f"no such action: {action}; known: add_cent, delete, duplicate")
            self._add_cent(path, record)
            self.touch(record)
            self.note(kind, identity, "updated")
            return self.served(path, record)

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
