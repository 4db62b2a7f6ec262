"""What the database itself refuses in sales: an issued document and its lines stay as they are. Only the form in which a
document's content is kept may change (sealed with a key, or erased with it)."""

from hub.db.seals import append_only_postgres, append_only_sqlite, unchangeable_postgres, unchangeable_sqlite

_DOCUMENT_FIXED = (
    "id",
    "merchant_id",
    "order_id",
    "kind",
    "ordinal",
    "number",
    "reason",
    "refund_id",
    "corrects_id",
    "party_id",
    "currency",
    "issued_at",
    "effective_date",
    "total_net",
    "total_tax",
    "total",
    "entry_id",
    "content_hash",
)

SQLITE: list[str] = [
    *unchangeable_sqlite("document", _DOCUMENT_FIXED),
    *append_only_sqlite("document_line"),
    """
    CREATE TRIGGER document_added BEFORE INSERT ON document
    WHEN EXISTS (SELECT 1 FROM document WHERE id = NEW.id)
      OR EXISTS (SELECT 1 FROM document WHERE merchant_id = NEW.merchant_id AND number = NEW.number)
      OR EXISTS (SELECT 1 FROM document WHERE merchant_id = NEW.merchant_id AND order_id = NEW.order_id
                 AND kind = NEW.kind AND ordinal = NEW.ordinal)
      OR EXISTS (SELECT 1 FROM document WHERE merchant_id = NEW.merchant_id AND refund_id = NEW.refund_id)
    BEGIN SELECT RAISE(ABORT, 'document: this id, number, place or refund is there'); END
    """,
    """
    CREATE TRIGGER document_line_added BEFORE INSERT ON document_line
    WHEN EXISTS (SELECT 1 FROM document_line WHERE id = NEW.id)
      OR EXISTS (SELECT 1 FROM document_line WHERE merchant_id = NEW.merchant_id AND document_id = NEW.document_id
                 AND line = NEW.line)
    BEGIN SELECT RAISE(ABORT, 'document_line is append-only: this id or place is there'); END
    """,
]

POSTGRES: list[str] = [
    *unchangeable_postgres("document", _DOCUMENT_FIXED),
    *append_only_postgres("document_line"),
]
