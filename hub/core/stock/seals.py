"""What the database itself refuses in the stock: a move is never changed, a reservation ends once and stays ended."""

from hub.db.seals import append_only_postgres, append_only_sqlite, unchangeable_postgres, unchangeable_sqlite

_RESERVATION_FIXED = (
    "id",
    "merchant_id",
    "item_id",
    "location_id",
    "order_id",
    "order_line_id",
    "quantity",
    "created_at",
)
_ENDED = "OLD.state IN ('posted', 'voided')"
#: steps of one transaction are written as one: units that come in for a line that waits may leave in the same batch
_STEP_BACK = "(NEW.state = 'waiting' AND OLD.state <> 'waiting')"

SQLITE: list[str] = [
    *append_only_sqlite("move"),
    *unchangeable_sqlite("reservation", _RESERVATION_FIXED),
    """
    CREATE TRIGGER move_added BEFORE INSERT ON move
    WHEN EXISTS (SELECT 1 FROM move WHERE id = NEW.id)
      OR EXISTS (SELECT 1 FROM move WHERE merchant_id = NEW.merchant_id AND ref = NEW.ref)
      OR typeof(NEW.quantity) <> 'integer'
    BEGIN SELECT RAISE(ABORT, 'move is append-only: this id or ref is there, or the quantity is no integer'); END
    """,
    """
    CREATE TRIGGER reservation_added BEFORE INSERT ON reservation
    WHEN EXISTS (SELECT 1 FROM reservation WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'reservation: this id is there'); END
    """,
    f"""
    CREATE TRIGGER reservation_step BEFORE UPDATE ON reservation
    WHEN {_ENDED} OR NEW.shipped < OLD.shipped OR {_STEP_BACK}
    BEGIN SELECT RAISE(ABORT, 'reservation: it ends once, and shipped units stay shipped'); END
    """,
]

POSTGRES: list[str] = [
    *append_only_postgres("move"),
    *unchangeable_postgres("reservation", _RESERVATION_FIXED),
    f"""
    CREATE FUNCTION hub_reservation_step() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF {_ENDED} OR NEW.shipped < OLD.shipped OR {_STEP_BACK} THEN
        RAISE EXCEPTION 'reservation: it ends once, and shipped units stay shipped'
          USING ERRCODE = 'integrity_constraint_violation';
      END IF;
      RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER reservation_step BEFORE UPDATE ON reservation FOR EACH ROW EXECUTE FUNCTION hub_reservation_step()",
]
