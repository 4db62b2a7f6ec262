"""Logs hold no secrets, no bodies and no values of the database."""

from __future__ import annotations

import json
import logging

import pytest
import sqlalchemy as sa
import structlog

from hub.cli import logs


@pytest.fixture
def lines(capsys):
    """Configures logging for a test. Gives what was logged since."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure("info")
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    structlog.reset_defaults()
    root.handlers[:], level = before
    root.setLevel(level)


def test_a_line_is_one_json_object(lines):
    structlog.get_logger("hub.test").info("it happened", event_seq=7)
    structlog.get_logger("hub.test").debug("not this")

    [line] = lines()
    assert (line["logger"], line["event"], line["level"], line["event_seq"]) == ("hub.test", "it happened", "info", 7)
    assert line["timestamp"].endswith("Z")


def test_secrets_and_bodies_are_hidden(lines):
    structlog.get_logger("hub.test").error("x", token="abc", body=b"abc", authorization="abc")

    assert "abc" not in json.dumps(lines())


def test_an_error_of_the_database_is_logged_without_its_values(lines):
    engine = sa.create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            connection.execute(sa.text("INSERT INTO gone VALUES (:name)"), {"name": "Ada Lovelace"})
    except sa.exc.OperationalError:
        structlog.get_logger("hub.test").exception("write failed")

    [line] = lines()
    assert (line["error"], line["message"]) == ("OperationalError", "no such table: gone")
    assert any("test_logs.py" in place for place in line["at"])
    assert "Ada" not in json.dumps(line)


def test_what_libraries_log_has_the_same_form(lines):
    logging.getLogger("some.library").warning("careful: %s", "it")

    [line] = lines()
    assert (line["logger"], line["event"], line["level"]) == ("some.library", "careful: it", "warning")


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="HUB_LOG_LEVEL"):
        logs.configure("loud")
