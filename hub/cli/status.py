"""`hub status`."""

from __future__ import annotations

from hub.cli.options import Home, Json
from hub.cli.output import print_json, print_table
from hub.cli.reach import reached


def command(home: Home = None, json: Json = False) -> None:
    """Say what is there and whether anything is left to do."""
    with reached(home) as hub:
        status = hub.call("status")
    if json:
        print_json(status)
        return
    rows = [{"what": f"events {state}", "count": count} for state, count in status["inbox"].items()]
    for connection, states in status["deliveries_by_connection"].items():
        rows += [{"what": f"deliveries to {connection} {state}", "count": count} for state, count in states.items()]
    rows.append({"what": "open questions", "count": status["questions"]})
    print_table(rows, ["what", "count"])
    print("Nothing is left to do." if status["idle"] else f"At work; the oldest event is of {status['oldest_event']}.")
