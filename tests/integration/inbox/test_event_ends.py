"""Where events stand: each that is parked is told with the question that asks about it."""

from __future__ import annotations

import sqlalchemy as sa
from lab_hub import INBOX, QUESTION, Lab

from hub.core.plan import Plan
from hub.inbox.proof import prove_events
from hub.inbox.questions import raise_question


def test_of_several_questions_about_one_key_each_event_is_told_with_its_own(lab: Lab) -> None:
    for number in (1, 2, 3):
        lab.receive({"id": number})
    lab.database.ids.ensure(10)
    with lab.database.write() as connection:
        seqs = list(connection.execute(sa.select(INBOX.c.seq).order_by(INBOX.c.seq)).scalars())
        plan = Plan(1, connection, lab.database.ids, lab.clock())
        asked = [
            raise_question(plan, kind=kind, subject="K", reason=kind, event_seq=seq)
            for kind, seq in zip(("a", "b", "a"), seqs, strict=True)
        ]
        plan.write(connection, (QUESTION,))
        for seq, question in zip(seqs, asked, strict=True):
            values = {"state": "parked", "ordering_key": "K", "outcome": f"question {question}: why"}
            connection.execute(INBOX.update().where(INBOX.c.seq == seq).values(values))
        ends = prove_events(connection, 1, most=9)

    assert ends.faults == []
    assert [each.question for each in ends.open] == asked
