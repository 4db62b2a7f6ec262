"""The effect log is only added to, and its head only moves on: refused by the database itself."""

SQLITE = [
    "CREATE TRIGGER effect_log_no_update BEFORE UPDATE ON effect_log BEGIN SELECT RAISE(ABORT, 'effect_log is append-only'); END",
    "CREATE TRIGGER effect_log_no_delete BEFORE DELETE ON effect_log BEGIN SELECT RAISE(ABORT, 'effect_log is append-only'); END",
    "CREATE TRIGGER effect_log_no_replace BEFORE INSERT ON effect_log WHEN EXISTS"
    " (SELECT 1 FROM effect_log WHERE merchant_id = NEW.merchant_id AND seq = NEW.seq)"
    " BEGIN SELECT RAISE(ABORT, 'effect_log is append-only'); END",
    "CREATE TRIGGER effect_head_no_delete BEFORE DELETE ON effect_head"
    " BEGIN SELECT RAISE(ABORT, 'effect_head only moves on'); END",
    "CREATE TRIGGER effect_head_forward BEFORE UPDATE ON effect_head"
    " WHEN NEW.seq <= OLD.seq OR NEW.merchant_id IS NOT OLD.merchant_id"
    " BEGIN SELECT RAISE(ABORT, 'effect_head only moves on'); END",
    "CREATE TRIGGER effect_head_no_replace BEFORE INSERT ON effect_head"
    " WHEN EXISTS (SELECT 1 FROM effect_head WHERE merchant_id = NEW.merchant_id)"
    " BEGIN SELECT RAISE(ABORT, 'effect_head only moves on'); END",
]

POSTGRES = [
    "CREATE FUNCTION effect_log_sealed() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'effect_log is append-only'; END $$",
    "CREATE TRIGGER effect_log_no_change BEFORE UPDATE OR DELETE ON effect_log"
    " FOR EACH ROW EXECUTE FUNCTION effect_log_sealed()",
    "CREATE TRIGGER effect_log_no_truncate BEFORE TRUNCATE ON effect_log"
    " FOR EACH STATEMENT EXECUTE FUNCTION effect_log_sealed()",
    "CREATE FUNCTION effect_head_sealed() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'effect_head only moves on'; END $$",
    "CREATE TRIGGER effect_head_no_delete BEFORE DELETE OR TRUNCATE ON effect_head"
    " FOR EACH STATEMENT EXECUTE FUNCTION effect_head_sealed()",
    "CREATE TRIGGER effect_head_forward BEFORE UPDATE ON effect_head FOR EACH ROW"
    " WHEN (NEW.seq <= OLD.seq OR NEW.merchant_id <> OLD.merchant_id) EXECUTE FUNCTION effect_head_sealed()",
]
