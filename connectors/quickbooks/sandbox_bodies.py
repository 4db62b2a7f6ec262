"""The bodies that the QuickBooks sandbox takes, and the refusals it gives.

The field names are the vendor's. A field that is not here is refused with code 2010, as the vendor refuses unknown properties;
fields that the sandbox serves but computes itself (totals, balances) are here too, because a full update sends back what was read.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.functional_validators import AfterValidator


class Refused(Exception):
    """The vendor's refusal: an HTTP status and a Fault."""

    def __init__(
        self, code: str, message: str, detail: str, element: str = "", status: int = 400, kind: str = "ValidationFault"
    ) -> None:
        super().__init__(f"{code} {message}: {detail}")
        self.code = code
        self.status = status
        self.kind = kind
        self.error = {"Message": message, "Detail": detail, "code": code, "element": element}

    def body(self, time: str) -> dict[str, Any]:
        """The JSON body, in the upper-case form of the accounting service."""
        return {"Fault": {"Error": [self.error], "type": self.kind}, "time": time}


def unknown_property(name: str) -> Refused:
    """2010."""
    detail = f"Property Name:{name} specified is unsupported or invalid"
    return Refused("2010", "Request has invalid or unsupported property", detail, name)


def missing(name: str) -> Refused:
    """2020."""
    detail = f"Required parameter {name} is missing in the request"
    return Refused("2020", "Required param missing, need to supply the required value for the API", detail, name)


def bad_value(name: str, detail: str) -> Refused:
    """2030."""
    return Refused("2030", "Invalid value", detail, name)


def not_found(name: str, value: str) -> Refused:
    """610, also for a reference to a record that is inactive or was never there."""
    detail = f"Object Not Found : {name} {value} does not exist or has been made inactive"
    return Refused("610", "Object Not Found", detail, name)


def business(detail: str, element: str = "") -> Refused:
    """6000."""
    message = "A business validation error has occurred while processing your request"
    return Refused("6000", message, f"Business Validation Error: {detail}", element)


def unsupported(path: str) -> Refused:
    """What an address that is not there answers: HTTP 400 with code 500."""
    return Refused("500", "Unsupported Operation", f"Operation {path} is not supported.")


def _two_decimals(value: Decimal) -> Decimal:
    # The vendor's rule for a third decimal is not published; a hub that sends one has a bug, so it is refused.
    if value != value.quantize(Decimal("0.01")):
        raise ValueError("more than two decimals")
    return value


def _name(value: str) -> str:
    if any(sign in value for sign in ":\t\n"):
        raise ValueError("a colon, a tab or a new line is not allowed")
    return value


Money = Annotated[Decimal, Field(allow_inf_nan=False, max_digits=20), AfterValidator(_two_decimals)]
Number = Annotated[Decimal, Field(allow_inf_nan=False, max_digits=28)]
Number21 = Annotated[str, Field(max_length=21)]
PartyName = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_name)]


class Body(BaseModel):
    """Unknown properties are refused; numbers given as text and ids given as numbers are taken, as the vendor's parser takes them."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)


class Ref(Body):
    value: str
    name: str | None = None


class Address(Body):
    Id: str | None = None
    Line1: str | None = None
    Line2: str | None = None
    Line3: str | None = None
    Line4: str | None = None
    Line5: str | None = None
    City: str | None = None
    Country: str | None = None
    CountryCode: str | None = None
    CountrySubDivisionCode: str | None = None
    PostalCode: str | None = None
    Lat: str | None = None
    Long: str | None = None
    Note: str | None = None


class Email(Body):
    Address: Annotated[str, Field(max_length=100)] | None = None


class Phone(Body):
    FreeFormNumber: str | None = None


class WebAddress(Body):
    URI: str | None = None


class Memo(Body):
    value: str | None = None


class CustomFieldBody(Body):
    DefinitionId: str | None = None
    Name: str | None = None
    Type: str | None = None
    StringValue: str | None = None


class MetaDataBody(Body):
    CreateTime: str | None = None
    LastUpdatedTime: str | None = None


class Entity(Body):
    Id: str | None = None
    SyncToken: str | None = None
    MetaData: MetaDataBody | None = None
    domain: str | None = None
    sparse: bool | None = None
    CustomField: list[CustomFieldBody] | None = None


class Customer(Entity):
    DisplayName: PartyName | None = None
    Title: str | None = None
    GivenName: str | None = None
    MiddleName: str | None = None
    FamilyName: str | None = None
    Suffix: str | None = None
    CompanyName: str | None = None
    FullyQualifiedName: str | None = None
    PrintOnCheckName: str | None = None
    Active: bool | None = None
    PrimaryEmailAddr: Email | None = None
    PrimaryPhone: Phone | None = None
    AlternatePhone: Phone | None = None
    Mobile: Phone | None = None
    Fax: Phone | None = None
    WebAddr: WebAddress | None = None
    BillAddr: Address | None = None
    ShipAddr: Address | None = None
    CurrencyRef: Ref | None = None
    PaymentMethodRef: Ref | None = None
    DefaultTaxCodeRef: Ref | None = None
    PrimaryTaxIdentifier: str | None = None
    BusinessNumber: str | None = None
    Notes: Annotated[str, Field(max_length=2000)] | None = None
    Taxable: bool | None = None
    Job: bool | None = None
    BillWithParent: bool | None = None
    PreferredDeliveryMethod: str | None = None
    Balance: Number | None = None
    BalanceWithJobs: Number | None = None


class Item(Entity):
    Name: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_name)] | None = None
    Sku: Annotated[str, Field(max_length=100)] | None = None
    Description: Annotated[str, Field(max_length=4000)] | None = None
    Active: bool | None = None
    FullyQualifiedName: str | None = None
    Taxable: bool | None = None
    SalesTaxIncluded: bool | None = None
    UnitPrice: Number | None = None
    Type: Literal["Inventory", "NonInventory", "Service"] | None = None
    IncomeAccountRef: Ref | None = None
    ExpenseAccountRef: Ref | None = None
    AssetAccountRef: Ref | None = None
    PurchaseDesc: str | None = None
    PurchaseCost: Number | None = None
    TrackQtyOnHand: bool | None = None
    QtyOnHand: Number | None = None
    InvStartDate: date | None = None
    SalesTaxCodeRef: Ref | None = None


class Account(Entity):
    Name: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_name)] | None = None
    FullyQualifiedName: str | None = None
    Description: str | None = None
    AcctNum: Annotated[str, Field(max_length=20)] | None = None
    Active: bool | None = None
    Classification: str | None = None
    AccountType: str | None = None
    AccountSubType: str | None = None
    CurrencyRef: Ref | None = None
    SubAccount: bool | None = None
    CurrentBalance: Number | None = None
    CurrentBalanceWithSubAccounts: Number | None = None


class LinkedTxnBody(Body):
    TxnId: str
    TxnType: str
    TxnLineId: str | None = None


class SalesItemLineDetailBody(Body):
    ItemRef: Ref | None = None
    Qty: Number | None = None
    UnitPrice: Number | None = None
    TaxCodeRef: Ref | None = None
    ServiceDate: date | None = None
    TaxInclusiveAmt: Money | None = None
    ItemAccountRef: Ref | None = None


class DiscountLineDetailBody(Body):
    PercentBased: bool | None = None
    DiscountPercent: Number | None = None
    DiscountAccountRef: Ref | None = None
    TaxCodeRef: Ref | None = None


class EntityRef(Body):
    Type: Literal["Customer", "Vendor", "Employee"] | None = None
    EntityRef: Ref | None = None


class JournalEntryLineDetailBody(Body):
    PostingType: Literal["Debit", "Credit"] | None = None
    AccountRef: Ref | None = None
    Entity: EntityRef | None = None
    TaxCodeRef: Ref | None = None
    TaxAmount: Money | None = None


class EmptyDetail(Body):
    """SubTotalLineDetail and DescriptionLineDetail: nothing in them is read here."""


class TaxLineDetailBody(Body):
    TaxRateRef: Ref | None = None
    PercentBased: bool | None = None
    TaxPercent: Number | None = None
    NetAmountTaxable: Money | None = None


class TaxLineBody(Body):
    Amount: Money | None = None
    DetailType: Literal["TaxLineDetail"] | None = None
    TaxLineDetail: TaxLineDetailBody | None = None


class TxnTaxDetailBody(Body):
    TxnTaxCodeRef: Ref | None = None
    TotalTax: Money | None = None
    TaxLine: list[TaxLineBody] | None = None


class LineBody(Body):
    Id: str | None = None
    LineNum: int | None = None
    Description: Annotated[str, Field(max_length=4000)] | None = None
    Amount: Money | None = None
    LinkedTxn: list[LinkedTxnBody] | None = None
    DetailType: (
        Literal[
            "SalesItemLineDetail",
            "DiscountLineDetail",
            "SubTotalLineDetail",
            "DescriptionOnly",
            "JournalEntryLineDetail",
        ]
        | None
    ) = None
    SalesItemLineDetail: SalesItemLineDetailBody | None = None
    DiscountLineDetail: DiscountLineDetailBody | None = None
    SubTotalLineDetail: EmptyDetail | None = None
    DescriptionLineDetail: EmptyDetail | None = None
    JournalEntryLineDetail: JournalEntryLineDetailBody | None = None


class Transaction(Entity):
    DocNumber: Number21 | None = None
    TxnDate: date | None = None
    CurrencyRef: Ref | None = None
    ExchangeRate: Number | None = None
    PrivateNote: Annotated[str, Field(max_length=4000)] | None = None
    LinkedTxn: list[LinkedTxnBody] | None = None
    Line: list[LineBody] | None = None
    TxnTaxDetail: TxnTaxDetailBody | None = None


class Sales(Transaction):
    """What invoices, sales receipts, credit memos and refund receipts have in common."""

    CustomerRef: Ref | None = None
    CustomerMemo: Memo | None = None
    BillAddr: Address | None = None
    ShipAddr: Address | None = None
    BillEmail: Email | None = None
    GlobalTaxCalculation: Literal["TaxExcluded", "TaxInclusive", "NotApplicable"] | None = None
    TotalAmt: Money | None = None
    Balance: Number | None = None
    ApplyTaxAfterDiscount: bool | None = None
    PrintStatus: Literal["NotSet", "NeedToPrint", "PrintComplete"] | None = None
    EmailStatus: Literal["NotSet", "NeedToSend", "EmailSent"] | None = None
    ARAccountRef: Ref | None = None
    PaymentMethodRef: Ref | None = None
    PaymentRefNum: Number21 | None = None
    DepositToAccountRef: Ref | None = None


class Invoice(Sales):
    DueDate: date | None = None
    ShipDate: date | None = None
    TrackingNum: str | None = None
    AllowOnlineCreditCardPayment: bool | None = None
    AllowOnlineACHPayment: bool | None = None


class SalesReceipt(Sales):
    ShipDate: date | None = None
    TrackingNum: str | None = None


class CreditMemo(Sales):
    RemainingCredit: Number | None = None
    InvoiceRef: Ref | None = None


class RefundReceipt(Sales):
    pass


class Payment(Transaction):
    CustomerRef: Ref | None = None
    ARAccountRef: Ref | None = None
    DepositToAccountRef: Ref | None = None
    PaymentMethodRef: Ref | None = None
    PaymentRefNum: Number21 | None = None
    TotalAmt: Money | None = None
    UnappliedAmt: Number | None = None
    ProcessPayment: bool | None = None


class JournalEntry(Transaction):
    Adjustment: bool | None = None


class TaxRateDetailsBody(Body):
    TaxRateName: str | None = None
    TaxRateId: str | None = None
    RateValue: Number | None = None
    TaxAgencyId: str | None = None
    TaxApplicableOn: Literal["Sales", "Purchase"] | None = None


class TaxService(Body):
    TaxCode: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    TaxCodeId: str | None = None
    TaxRateDetails: list[TaxRateDetailsBody] | None = None


def parse(model: type[Body], value: object) -> dict[str, Any]:
    """The fields that were sent, as plain values (dates as text); the first thing wrong is refused as the vendor does."""
    try:
        body = model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        if first["type"] == "extra_forbidden":
            raise unknown_property(where) from None
        if first["type"] == "missing":
            raise missing(where) from None
        raise bad_value(where, f"Supplied value is not valid: {where}: {first['msg']}") from None
    return _plain(body.model_dump(exclude_unset=True))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, date) else value
