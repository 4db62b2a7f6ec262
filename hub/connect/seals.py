"""Keys that chains and checkpoints were made with are retired, never deleted: refused by the database itself."""

_KEPT = "('chain', 'signing')"
_TEXT = "data_key: a key of a chain is retired, never deleted or replaced"

SQLITE = [
    f"CREATE TRIGGER data_key_deleted BEFORE DELETE ON data_key WHEN OLD.purpose IN {_KEPT} "
    f"BEGIN SELECT RAISE(ABORT, '{_TEXT}'); END",
    f"CREATE TRIGGER data_key_fixed BEFORE UPDATE ON data_key WHEN OLD.purpose IN {_KEPT} AND "
    "(NEW.id IS NOT OLD.id OR NEW.merchant_id IS NOT OLD.merchant_id OR NEW.purpose IS NOT OLD.purpose) "
    f"BEGIN SELECT RAISE(ABORT, '{_TEXT}'); END",
    "CREATE TRIGGER data_key_replaced BEFORE INSERT ON data_key WHEN EXISTS"
    " (SELECT 1 FROM data_key WHERE id = NEW.id AND purpose IN ('chain', 'signing'))"
    " BEGIN SELECT RAISE(ABORT, 'data_key: a key of a chain is retired, never deleted or replaced'); END",
]

POSTGRES = [
    f"""
    CREATE FUNCTION hub_data_key_kept() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION '{_TEXT}' USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    "CREATE TRIGGER data_key_deleted BEFORE DELETE ON data_key FOR EACH ROW "
    f"WHEN (OLD.purpose IN {_KEPT}) EXECUTE FUNCTION hub_data_key_kept()",
    "CREATE TRIGGER data_key_fixed BEFORE UPDATE ON data_key FOR EACH ROW "
    f"WHEN (OLD.purpose IN {_KEPT} AND (NEW.id, NEW.merchant_id, NEW.purpose) IS DISTINCT FROM "
    "(OLD.id, OLD.merchant_id, OLD.purpose)) EXECUTE FUNCTION hub_data_key_kept()",
    "CREATE TRIGGER data_key_truncated BEFORE TRUNCATE ON data_key FOR EACH STATEMENT EXECUTE FUNCTION hub_data_key_kept()",
]
