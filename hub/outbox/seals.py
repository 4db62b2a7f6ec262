"""The effect log is only added to: refused by the database itself."""

SQLITE = [
    "CREATE TRIGGER effect_log_no_update BEFORE UPDATE ON effect_log BEGIN SELECT RAISE(ABORT, 'effect_log is append-only'); END",
    "CREATE TRIGGER effect_log_no_delete BEFORE DELETE ON effect_log BEGIN SELECT RAISE(ABORT, 'effect_log is append-only'); END",
    "CREATE TRIGGER effect_log_no_replace BEFORE INSERT ON effect_log WHEN EXISTS"
    " (SELECT 1 FROM effect_log WHERE merchant_id = NEW.merchant_id AND seq = NEW.seq)"
    " BEGIN SELECT RAISE(ABORT, 'effect_log is append-only'); END",
]

POSTGRES = [
    "CREATE FUNCTION effect_log_sealed() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'effect_log is append-only'; END $$",
    "CREATE TRIGGER effect_log_no_change BEFORE UPDATE OR DELETE ON effect_log"
    " FOR EACH ROW EXECUTE FUNCTION effect_log_sealed()",
    "CREATE TRIGGER effect_log_no_truncate BEFORE TRUNCATE ON effect_log"
    " FOR EACH STATEMENT EXECUTE FUNCTION effect_log_sealed()",
]
