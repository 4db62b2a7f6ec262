"""What the database itself refuses in the ledger, on both engines.

An entry, its postings and its seal are only ever added, in this order and in one transaction: a commit without the seal
fails (deferred foreign key), a posting after the seal fails, and the seal fails unless the postings are an entry.
What is left is an owner of the tables who drops these triggers: the chain shows it (`verify.py`), and on PostgreSQL the
application's role owns nothing.
"""

from hub.db.seals import append_only_postgres, append_only_sqlite, unchangeable_postgres, unchangeable_sqlite

_ACCOUNT_FIXED = ("id", "merchant_id", "book_id", "code", "currency")

SQLITE: list[str] = [
    *append_only_sqlite("entry"),
    *append_only_sqlite("posting"),
    *append_only_sqlite("entry_seal"),
    *unchangeable_sqlite("account", _ACCOUNT_FIXED),
    # INSERT OR REPLACE deletes without firing delete triggers unless a connection asks for it: refuse what is there
    """
    CREATE TRIGGER entry_added BEFORE INSERT ON entry
    WHEN EXISTS (SELECT 1 FROM entry WHERE id = NEW.id)
      OR EXISTS (SELECT 1 FROM entry WHERE merchant_id = NEW.merchant_id AND ref = NEW.ref)
      OR EXISTS (
        SELECT 1 FROM entry WHERE merchant_id = NEW.merchant_id AND book_id = NEW.book_id AND seq = NEW.seq
      )
      OR (NEW.reverses_id IS NOT NULL AND EXISTS (
        SELECT 1 FROM entry WHERE merchant_id = NEW.merchant_id AND reverses_id = NEW.reverses_id
      ))
    BEGIN SELECT RAISE(ABORT, 'entry is append-only: this id, ref, number or reversal is there'); END
    """,
    """
    CREATE TRIGGER posting_added BEFORE INSERT ON posting
    BEGIN
      SELECT CASE
        WHEN typeof(NEW.amount) <> 'integer' THEN RAISE(ABORT, 'posting: the amount is no integer')
        WHEN EXISTS (SELECT 1 FROM entry_seal WHERE id = NEW.entry_id)
          THEN RAISE(ABORT, 'posting: the entry is sealed')
        WHEN EXISTS (SELECT 1 FROM posting WHERE id = NEW.id)
          THEN RAISE(ABORT, 'posting is append-only: this id is there')
        WHEN (SELECT merchant_id FROM entry WHERE id = NEW.entry_id) IS NOT NEW.merchant_id
          THEN RAISE(ABORT, 'posting: the entry is not there or is another merchant''s')
      END;
    END
    """,
    """
    CREATE TRIGGER entry_seal_added BEFORE INSERT ON entry_seal
    BEGIN
      SELECT CASE
        WHEN EXISTS (SELECT 1 FROM entry_seal WHERE id = NEW.id)
          THEN RAISE(ABORT, 'entry_seal is append-only: this id is there')
        WHEN NOT EXISTS (
          SELECT 1 FROM entry JOIN book ON book.id = entry.book_id
          WHERE entry.id = NEW.id AND entry.merchant_id = NEW.merchant_id AND book.merchant_id = NEW.merchant_id
        ) THEN RAISE(ABORT, 'entry_seal: the entry is not there or is another merchant''s')
        WHEN (SELECT count(*) FROM posting WHERE merchant_id = NEW.merchant_id AND entry_id = NEW.id) < 2
          THEN RAISE(ABORT, 'entry_seal: an entry has at least two postings')
        WHEN EXISTS (
          SELECT 1 FROM posting WHERE merchant_id = NEW.merchant_id AND entry_id = NEW.id
          GROUP BY currency HAVING sum(amount) <> 0
        ) THEN RAISE(ABORT, 'entry_seal: the postings do not add up to zero')
        WHEN EXISTS (
          SELECT 1 FROM posting JOIN account ON account.id = posting.account_id
          WHERE posting.merchant_id = NEW.merchant_id AND posting.entry_id = NEW.id
            AND account.book_id <> (SELECT book_id FROM entry WHERE id = NEW.id)
        ) THEN RAISE(ABORT, 'entry_seal: an account is of another book')
      END;
    END
    """,
    """
    CREATE TRIGGER account_added BEFORE INSERT ON account
    WHEN EXISTS (SELECT 1 FROM account WHERE id = NEW.id)
      OR EXISTS (
        SELECT 1 FROM account WHERE merchant_id = NEW.merchant_id AND book_id = NEW.book_id AND code = NEW.code
          AND currency = NEW.currency
      )
    BEGIN SELECT RAISE(ABORT, 'account: this id or code is there'); END
    """,
    """
    CREATE TRIGGER series_updated BEFORE UPDATE ON series
    WHEN NEW.next_number < OLD.next_number OR NEW.code <> OLD.code OR NEW.prefix <> OLD.prefix
      OR NEW.merchant_id <> OLD.merchant_id
    BEGIN SELECT RAISE(ABORT, 'series: a number is never taken back'); END
    """,
    "CREATE TRIGGER series_deleted BEFORE DELETE ON series BEGIN SELECT RAISE(ABORT, 'series: it stays'); END",
]

POSTGRES: list[str] = [
    *append_only_postgres("entry"),
    *append_only_postgres("posting"),
    *append_only_postgres("entry_seal"),
    *unchangeable_postgres("account", _ACCOUNT_FIXED),
    """
    CREATE FUNCTION hub_posting_added() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF EXISTS (SELECT 1 FROM added JOIN entry_seal ON entry_seal.id = added.entry_id) THEN
        RAISE EXCEPTION 'posting: the entry is sealed' USING ERRCODE = 'integrity_constraint_violation';
      END IF;
      IF EXISTS (
        SELECT 1 FROM added JOIN entry ON entry.id = added.entry_id WHERE entry.merchant_id <> added.merchant_id
      ) THEN
        RAISE EXCEPTION 'posting: the entry is another merchant''s' USING ERRCODE = 'integrity_constraint_violation';
      END IF;
      RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER posting_added AFTER INSERT ON posting REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION hub_posting_added()
    """,
    """
    CREATE FUNCTION hub_entry_seal_added() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF EXISTS (
        SELECT 1 FROM added
        LEFT JOIN entry ON entry.id = added.id
        LEFT JOIN book ON book.id = entry.book_id
        WHERE entry.merchant_id IS DISTINCT FROM added.merchant_id
          OR book.merchant_id IS DISTINCT FROM added.merchant_id
      ) THEN
        RAISE EXCEPTION 'entry_seal: the entry is not there or is another merchant''s'
          USING ERRCODE = 'integrity_constraint_violation';
      END IF;
      IF EXISTS (
        SELECT 1 FROM added
        LEFT JOIN posting ON posting.merchant_id = added.merchant_id AND posting.entry_id = added.id
        GROUP BY added.id HAVING count(posting.id) < 2
      ) THEN
        RAISE EXCEPTION 'entry_seal: an entry has at least two postings'
          USING ERRCODE = 'integrity_constraint_violation';
      END IF;
      IF EXISTS (
        SELECT 1 FROM added
        JOIN posting ON posting.merchant_id = added.merchant_id AND posting.entry_id = added.id
        GROUP BY added.id, posting.currency HAVING sum(posting.amount) <> 0
      ) THEN
        RAISE EXCEPTION 'entry_seal: the postings do not add up to zero'
          USING ERRCODE = 'integrity_constraint_violation';
      END IF;
      IF EXISTS (
        SELECT 1 FROM added
        JOIN entry ON entry.id = added.id
        JOIN posting ON posting.merchant_id = added.merchant_id AND posting.entry_id = added.id
        JOIN account ON account.id = posting.account_id
        WHERE account.book_id <> entry.book_id
      ) THEN
        RAISE EXCEPTION 'entry_seal: an account is of another book'
          USING ERRCODE = 'integrity_constraint_violation';
      END IF;
      RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER entry_seal_added AFTER INSERT ON entry_seal REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION hub_entry_seal_added()
    """,
    """
    CREATE FUNCTION hub_series_updated() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF NEW.next_number < OLD.next_number OR NEW.code <> OLD.code OR NEW.prefix <> OLD.prefix
        OR NEW.merchant_id <> OLD.merchant_id THEN
        RAISE EXCEPTION 'series: a number is never taken back' USING ERRCODE = 'integrity_constraint_violation';
      END IF;
      RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER series_updated BEFORE UPDATE ON series FOR EACH ROW EXECUTE FUNCTION hub_series_updated()",
    "CREATE TRIGGER series_deleted BEFORE DELETE OR TRUNCATE ON series FOR EACH STATEMENT EXECUTE FUNCTION hub_refuse()",
    # an index is always better here than what a plan made on an empty table would choose
    *(
        f"ALTER FUNCTION {function}() SET {option} = off"
        for function in ("hub_posting_added", "hub_entry_seal_added")
        for option in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
    ),
]
