"""The files connector, in a folder of this machine and on a real SFTP server: files arrive whole and once, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import paramiko
import pytest

from hub.connect import reads
from hub.connect.errors import NotSent, Refused
from hub.connect.links import Link
from hub.connect.operations import Confirmed, NeedsReconnect, Outcome, Rejected, Retry, Uncertain, execute
from hub.connect.sandboxes import Running
from tests.connectors.kit import Kit
from tests.connectors.serving import load

ORDER = {"name": "order_1001.json", "json": {"order": "#1001", "total": Decimal("44.60")}}
TEXT = '{"order":"#1001","total":44.60}'


@pytest.fixture
def server(kit: Kit) -> Running:
    return kit.sandbox("files")


@pytest.fixture
def link(kit: Kit, server: Running) -> Link:
    return connect(kit, server)


@pytest.fixture(params=["folder", "sftp"])
def either(request: pytest.FixtureRequest, kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A connection of each kind, and the folder that its files are in."""
    if request.param == "folder":
        for name in ("out", "in"):
            (tmp_path / "acme" / name).mkdir(parents=True)
        monkeypatch.setenv("HUB_FILES_ROOT", str(tmp_path))
        place = {"folder": "acme/out", "pickup": "acme/in", "settle": 0}
        return kit.connect("files", place), tmp_path / "acme"
    server = kit.sandbox("files")
    return connect(kit, server), server.state.folder


def connect(kit: Kit, server: Running, **more: Any) -> Link:
    return kit.connect("files", {**load("files").connection(server.state), **more})


def write(link: Link, body: dict[str, Any] = ORDER, *, first: bool = True) -> Outcome:
    return execute(link, "file.write", body, "order:1001", first_attempt=first)


def names(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if not file.is_dir())


def taken(link: Link) -> list[dict[str, Any]]:
    """Polls as the hub does, page after page, and reads what each page names once the page is committed."""
    cursor, found = None, []
    for _ in range(10):
        page = reads.poll(link, "file", cursor)
        cursor = page.cursor
        found += [reads.read(link, "file", record_id) for record_id, _ in page.items]
        if not page.more:
            return [record for record in found if record is not None]
    raise AssertionError("the poll has no end")


# -- writing ----------------------------------------------------------------------------------------------------


def test_a_file_is_written_whole_and_the_same_file_again_is_done(either: Any) -> None:
    link, folder = either

    done, again = write(link), write(link)

    assert isinstance(done, Confirmed)
    assert (done.external_id, again.external_id) == ("order_1001.json", "order_1001.json")
    assert names(folder / "out") == ["order_1001.json"]
    assert (folder / "out" / "order_1001.json").read_text() == TEXT


def test_a_name_that_is_taken_by_other_content_is_a_question(either: Any) -> None:
    link, folder = either
    (folder / "out" / "order_1001.json").write_text("theirs")

    for first in (True, False):
        refused = write(link, first=first)
        assert isinstance(refused, Rejected)
        assert "other content" in refused.reason
    assert (folder / "out" / "order_1001.json").read_text() == "theirs"
    assert names(folder / "out") == ["order_1001.json"]


def test_rows_become_csv_as_the_settings_say(kit: Kit, server: Running) -> None:
    link = connect(kit, server, delimiter="semicolon", decimal=",", encoding="cp1252")
    rows = [
        {"sku": "MUG-01", "title": 'Mug "émaillé"; bleu', "price": Decimal("14.90"), "gift": False},
        {"sku": "THE-01", "price": 8, "title": "de\nux", "gift": None},
    ]

    assert isinstance(write(link, {"name": "items.csv", "rows": rows}), Confirmed)
    assert (server.state.folder / "out" / "items.csv").read_bytes() == (
        b'sku;title;price;gift\r\nMUG-01;"Mug ""\xe9maill\xe9""; bleu";14,90;false\r\nTHE-01;"de\nux";8;\r\n'
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": "../up.txt", "text": "x"}, "no name of a file"),
        ({"name": "a/b.txt", "text": "x"}, "no name of a file"),
        ({"name": ".hidden", "text": "x"}, "no name of a file"),
        ({"name": "a.txt.tmp", "text": "x"}, ".tmp"),
        ({"name": "a.txt"}, "one of text, json, rows"),
        ({"name": "a.txt", "text": "x", "json": {}}, "one of text, json, rows"),
        ({"name": "a.csv", "rows": [{"a": 1}, {"b": 2}]}, "row 2 has b"),
        ({"name": "a.csv", "rows": [{"a": [1]}]}, "row 1, a: list"),
        ({"name": "a.csv", "rows": [], "columns": None}, "columns"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused(link: Link, server: Running, body: dict[str, Any], said: str) -> None:
    refused = write(link, body)

    assert isinstance(refused, Rejected)
    assert said in refused.reason
    assert server.state.files() == {}


def test_a_character_that_the_encoding_lacks_is_refused_with_its_line(kit: Kit, server: Running) -> None:
    refused = write(connect(kit, server, encoding="iso-8859-1"), {"name": "a.txt", "text": "one\ntwo 12 €"})

    assert isinstance(refused, Rejected)
    assert "line 2 holds '€'" in refused.reason


# -- what goes wrong on the way ---------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["CONNECT", "STAT", "OPEN", "WRITE", "CLOSE"])
def test_what_fails_before_the_renaming_is_tried_again(link: Link, server: Running, command: str) -> None:
    server.state.plant(command, "drop_before")

    cut = write(link)

    assert isinstance(cut, Retry)
    assert not cut.sent
    assert "order_1001.json" not in names(server.state.folder / "out")
    assert isinstance(write(link), Confirmed)
    assert server.state.files() == {"out/order_1001.json": TEXT}


def test_a_connection_that_is_cut_in_the_middle_of_a_file_leaves_no_half(link: Link, server: Running) -> None:
    body = {"name": "long.txt", "text": "0123456789abcdef" * 10_000}
    server.state.plant("WRITE", "drop_after")

    assert isinstance(write(link, body), Retry)
    [half] = server.state.files()
    assert half.endswith(".tmp")
    assert isinstance(write(link, body), Confirmed)
    assert server.state.files() == {"out/long.txt": body["text"]}


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_a_lost_answer_to_the_renaming_is_looked_up(link: Link, server: Running, kind: str) -> None:
    server.state.plant("RENAME", kind)

    lost = write(link)

    assert isinstance(lost, Retry)
    assert lost.sent
    assert isinstance(write(link, first=False), Confirmed)
    assert server.state.files() == {"out/order_1001.json": TEXT}


def test_what_may_have_been_taken_away_already_is_for_a_person(kit: Kit, link: Link, server: Running) -> None:
    server.state.plant("RENAME", "drop_after")
    write(link)
    server.state.act("take", {"name": "out/order_1001.json"})

    assert isinstance(write(link, first=False), Uncertain)
    assert server.state.files() == {}
    # where nobody takes files away, a file that is not there was never written
    assert isinstance(write(connect(kit, server, taken_away=False), first=False), Confirmed)


@pytest.mark.parametrize(("code", "outcome"), [(3, Rejected), (4, Retry)])
def test_a_denial_is_a_question_and_a_failure_is_tried_again(
    link: Link, server: Running, code: int, outcome: type
) -> None:
    server.state.plant("OPEN", "status", status=code)

    found = write(link)

    assert isinstance(found, outcome)
    assert server.state.files() == {}


def test_a_folder_that_is_not_there_is_refused(kit: Kit, server: Running) -> None:
    refused = write(connect(kit, server, folder="elsewhere"))

    assert isinstance(refused, Rejected)
    assert "No such file" in refused.reason


def test_nobody_listening_is_tried_again(link: Link, server: Running) -> None:
    server.stop()

    outcome = write(link)

    assert isinstance(outcome, Retry)
    assert not outcome.sent


# -- who is spoken to -------------------------------------------------------------------------------------------


def test_nothing_is_said_to_a_server_with_another_key(kit: Kit, server: Running) -> None:
    other = paramiko.ECDSAKey.generate()
    link = connect(kit, server, host_key=f"files.example.org {other.get_name()} {other.get_base64()}")

    refused = write(link)

    assert isinstance(refused, NeedsReconnect)
    assert "not the pinned one" in refused.reason
    assert server.state.requests()["counts"] == {"CONNECT": 1}  # not even a user's name


def test_a_key_of_another_kind_is_no_pinned_key(kit: Kit, server: Running) -> None:
    other = paramiko.RSAKey.generate(2048)
    link = connect(kit, server, host_key=f"{other.get_name()} {other.get_base64()}")

    assert isinstance(write(link), NeedsReconnect)
    assert "AUTH" not in server.state.requests()["counts"]


@pytest.mark.parametrize("key", ["", "ssh-ed25519 nonsense", "trust me"])
def test_without_a_pinned_key_nobody_is_connected_to(kit: Kit, server: Running, key: str) -> None:
    refused = write(connect(kit, server, host_key=key))

    assert isinstance(refused, Rejected)
    assert "host_key" in refused.reason
    assert server.state.requests()["counts"] == {}


def test_one_of_several_pinned_keys_is_enough(kit: Kit, server: Running) -> None:
    other = paramiko.ECDSAKey.generate()
    keys = f"{other.get_name()} {other.get_base64()}, {server.state.host_key}"

    assert isinstance(write(connect(kit, server, host_key=keys)), Confirmed)


def test_a_password_where_the_server_takes_no_key(kit: Kit) -> None:
    server = kit.sandbox("files", password="right")
    good, bad = connect(kit, server), connect(kit, server, password="wr0ng-secret")

    assert isinstance(write(good), Confirmed)
    refused = write(bad)
    assert isinstance(refused, NeedsReconnect)
    assert "wr0ng" not in refused.reason


@pytest.mark.parametrize(
    "key", ["", "no key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----"]
)
def test_a_private_key_that_is_none_asks_for_a_person(kit: Kit, server: Running, key: str) -> None:
    assert isinstance(write(connect(kit, server, private_key=key)), NeedsReconnect)


def test_a_locked_private_key_is_opened_by_its_passphrase(kit: Kit, server: Running, tmp_path: Path) -> None:
    server.state.public_key.write_private_key_file(str(tmp_path / "key"), "opens it")
    locked = (tmp_path / "key").read_text()

    assert isinstance(write(connect(kit, server, private_key=locked, passphrase="opens it")), Confirmed)
    assert isinstance(write(connect(kit, server, private_key=locked)), NeedsReconnect)


# -- a folder of this machine has walls -------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "../elsewhere", "a/../../elsewhere", "link", "/etc"])
def test_no_path_of_a_connection_leaves_the_root(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("HUB_FILES_ROOT", str(root))

    assert isinstance(write(kit.connect("files", {"folder": path})), Rejected)
    assert names(tmp_path / "elsewhere") == []


def test_without_a_root_there_are_no_folders(kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUB_FILES_ROOT", raising=False)

    refused = write(kit.connect("files", {"folder": str(tmp_path)}))

    assert isinstance(refused, Rejected)
    assert "HUB_FILES_ROOT is not set" in refused.reason


def test_links_in_the_folder_are_neither_read_nor_written_through(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("root/in", "root/out", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "elsewhere" / "secret.csv").write_text("sku\nA\n")
    (tmp_path / "root" / "in" / "seen.csv").symlink_to(tmp_path / "elsewhere" / "secret.csv")
    (tmp_path / "root" / "out" / "order_1001.json").symlink_to(tmp_path / "elsewhere" / "order.json")
    (tmp_path / "root" / "in" / "done").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "in" / "real.csv").write_text("sku\nB\n")
    monkeypatch.setenv("HUB_FILES_ROOT", str(tmp_path / "root"))
    link = kit.connect("files", {"folder": "out", "pickup": "in", "settle": 0})

    write(link)

    assert [record["name"] for record in taken(link)] == ["real.csv"]
    assert names(tmp_path / "elsewhere") == ["secret.csv"]
    assert "root/in/real.csv" in names(tmp_path)


# -- taking -----------------------------------------------------------------------------------------------------


def test_a_file_is_taken_once_and_moved_away(either: Any) -> None:
    link, folder = either
    (folder / "in" / "stock.csv").write_text("SKU;Prix\nMUG-01;14,90\nTHE-01;8\n")

    [record] = taken(link)

    assert record["rows"] == [{"sku": "MUG-01", "prix": Decimal("14.90")}, {"sku": "THE-01", "prix": 8}]
    assert (record["name"], record["first"], record["total"], record["error"]) == ("stock.csv", 1, 2, None)
    assert names(folder / "in") == [f"done/stock.{record['sha256'][:12]}.csv"]
    assert taken(link) == []


def test_what_was_given_to_the_inbox_is_read_wherever_the_file_stands(either: Any) -> None:
    link, folder = either
    (folder / "in" / "a.json").write_text('[{"sku": "A", "price": 1.10}]')
    looked = reads.poll(link, "file", None)
    given = reads.poll(link, "file", looked.cursor)
    [(record_id, stamp)] = given.items

    # the hub stopped here: the page is committed, nothing is read or moved yet
    before = reads.read(link, "file", record_id)
    moved = reads.poll(link, "file", given.cursor)
    after = reads.read(link, "file", record_id)

    assert moved.items == []
    assert names(folder / "in")[0].startswith("done/a.")
    assert before == after
    assert after is not None
    assert after["rows"] == [{"sku": "A", "price": Decimal("1.10")}]
    assert stamp == f"sha256:{after['sha256']}"


def test_a_cursor_that_is_lost_names_the_same_events(either: Any) -> None:
    link, folder = either
    (folder / "in" / "a.csv").write_text("sku\nA\n")
    first = reads.poll(link, "file", reads.poll(link, "file", None).cursor)

    again = reads.poll(link, "file", reads.poll(link, "file", "2026-11-24T09:00:00+00:00").cursor)

    assert again.items == first.items  # the inbox drops what it has


def test_the_same_name_with_other_content_is_another_file(either: Any) -> None:
    link, folder = either
    for text in ("sku\nA\n", "sku\nB\n"):
        (folder / "in" / "stock.csv").write_text(text)
        [record] = taken(link)
        assert record["rows"] == [{"sku": text[4]}]

    assert len(names(folder / "in")) == 2


def test_a_file_that_still_grows_is_left_alone(kit: Kit, server: Running) -> None:
    link = connect(kit, server, settle=3600)
    file = server.state.folder / "in" / "slow.csv"
    file.write_text("sku\n")
    first = reads.poll(link, "file", None)
    file.write_text("sku\nA\n")
    second = reads.poll(link, "file", first.cursor)
    third = reads.poll(link, "file", second.cursor)

    assert (first.items, second.items, third.items) == ([], [], [])
    assert not third.more
    settled = third.cursor.replace('"since":', '"since":-')  # long ago
    assert len(reads.poll(link, "file", settled).items) == 1


def test_a_long_file_comes_in_parts(kit: Kit, server: Running) -> None:
    link = connect(kit, server, rows_per_event=2)
    (server.state.folder / "in" / "a.csv").write_text("sku\nA\nB\nC\n")

    found = taken(link)

    assert [[row["sku"] for row in record["rows"]] for record in found] == [["A", "B"], ["C"]]
    assert [(record["first"], record["total"]) for record in found] == [(1, 3), (3, 3)]
    # three pages and one read: the second part is known
    assert server.state.requests()["counts"]["CONNECT"] == 4


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"sku\n\xff\n", "row 2 is not UTF-8"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b'sku\n"A\n', "the CSV cannot be read"),
        ("a.csv", b"sku,sku\nA,B\n", "the name of another column too"),
        ("a.xlsx", b"PK no spreadsheet", "no XLSX file"),
        ("a.json", b"[1]", "a list of objects"),
        ("a.pdf", b"%PDF", "ends in .xlsx or .csv"),
        ("a.csv", b"sku\n" + b"A\n" * 600_000, "largest"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_is_put_aside(
    kit: Kit, server: Running, name: str, content: bytes, said: str
) -> None:
    link = connect(kit, server, largest=1)
    (server.state.folder / "in" / name).write_bytes(content)

    [record] = taken(link)

    assert record["rows"] is None
    assert said in record["error"]
    [moved] = names(server.state.folder / "in")
    assert moved.startswith("error/a.")
    assert reads.read(link, "file", record["id"]) == {**record, "modified": record["modified"]}


def test_only_files_that_fit_the_pattern_are_taken(kit: Kit, server: Running) -> None:
    link = connect(kit, server, pattern="stock_*.csv")
    for name in ("stock_1.csv", "other.csv", ".stock_2.csv", "stock_3.csv.tmp"):
        (server.state.folder / "in" / name).write_text(f"sku\n{name}\n")
    (server.state.folder / "in" / "stock_4.csv").mkdir()

    assert [record["name"] for record in taken(link)] == ["stock_1.csv"]
    assert "in/other.csv" in server.state.files()


def test_without_a_pickup_folder_nothing_is_taken(kit: Kit, server: Running) -> None:
    link = connect(kit, server, pickup="")
    (server.state.folder / "in" / "a.csv").write_text("sku\nA\n")

    assert taken(link) == []
    assert server.state.requests()["counts"] == {}


def test_a_connection_that_observes_moves_nothing(kit: Kit, server: Running) -> None:
    link = connect(kit, server)
    link.mode = "observe"
    (server.state.folder / "in" / "a.csv").write_text("sku\nA\n")

    page = reads.poll(link, "file", reads.poll(link, "file", None).cursor)
    later = reads.poll(link, "file", page.cursor)

    assert (len(page.items), later.items) == (1, [])
    assert list(server.state.files()) == ["in/a.csv"]


def test_a_folder_in_which_nothing_may_be_moved_is_read_once(link: Link, server: Running) -> None:
    server.state.plant("RENAME", "status", status=3, times=None)
    (server.state.folder / "in" / "a.csv").write_text("sku\nA\n")

    page = reads.poll(link, "file", reads.poll(link, "file", None).cursor)
    later = reads.poll(link, "file", page.cursor)

    assert (len(page.items), later.items, later.more) == (1, [], False)


def test_a_file_that_is_gone_is_said_to_be_gone(link: Link, server: Running) -> None:
    (server.state.folder / "in" / "a.csv").write_text("sku\nA\n")
    page = reads.poll(link, "file", reads.poll(link, "file", None).cursor)
    server.state.act("take", {"name": "in/a.csv"})

    assert reads.read(link, "file", page.items[0][0]) is None


def test_a_check_looks_into_both_folders(kit: Kit, server: Running) -> None:
    check = load("files", "folder").check
    check(connect(kit, server))
    with pytest.raises(Refused, match="nowhere"):
        check(connect(kit, server, pickup="nowhere"))
    server.stop()
    with pytest.raises(NotSent):
        check(connect(kit, server))
