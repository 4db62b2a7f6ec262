"""Table of the alerts: what was told of, so that it is told once for as long as it lasts."""

from sqlalchemy import PrimaryKeyConstraint
from sqlmodel import SQLModel

from hub.db.types import bigint


class Alert(SQLModel, table=True):
    """One thing that a rule told of and that has not ended; the row with an empty subject is of the rule itself."""

    __tablename__ = "alert"
    __table_args__ = (PrimaryKeyConstraint("merchant_id", "rule", "subject"),)
    merchant_id: int = bigint()
    rule: str
    subject: str
    told_at: int = bigint()
