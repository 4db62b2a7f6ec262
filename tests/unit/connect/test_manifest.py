"""connector.yaml: what may stand in it, and where it says that something is wrong."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from hub.connect.manifest import ManifestError, OAuth2, parse_manifest
from hub.connect.registry import BrokenConnector, Registry, UnknownConnector

GOOD = """\
connector: depot
title: Depot
settings:
  token: {type: secret, required: true}
  site: {required: true}
base_urls: {production: "https://{settings.site}.example.org"}
auth: {type: api_key, secret: token, header: {name: X-Key, prefix: ""}}
operations:
  order.create:
    ladder: native_key
    key: {at: header, name: Idempotency-Key}
    request: {path: "/orders/{body.id}"}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(textwrap.dedent(text), "connector.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_manifest_is_read() -> None:
    manifest = parse_manifest(GOOD, "connector.yaml")

    assert manifest.operations["order.create"].ladder == "native_key"
    assert manifest.secret_names() == {"token"}


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        ("title: Depot\n", "", "1:1", "'title' is missing"),
        ("title: Depot\n", "title: Depot\ncolour: red\n", "3:1", "'colour' is not known here"),
        ("type: secret", "type: password", "4:17", "text"),
        ("ladder: native_key", "ladder: hope", "10:13", "native_key"),
        ("    key: {at: header, name: Idempotency-Key}\n", "", "10:5", "needs `key`"),
        ('    request: {path: "/orders/{body.id}"}\n', "", "10:5", "give `request` or `code`"),
        ("{settings.site}", "{settings.city}", "6:25", "no setting 'city' is declared"),
        ("{body.id}", "{body.id|shout}", "12:21", "unknown filter 'shout'"),
        ("secret: token", "secret: site", "7:31", "not a setting of type secret"),
        ("type: api_key", "type: api_kee", "7:7", "api_key"),
        ("title: Depot", "title: [", "4:8", "yaml-syntax"),
        ("title: Depot", "title: 5", "2:8", "string"),
    ],
)
def test_an_error_says_where_it_is(old: str, new: str, place: str, says: str) -> None:
    found = problems(GOOD.replace(old, new, 1))

    assert any(text.startswith(f"connector.yaml:{place}:") and says in text for text in found), found


def test_a_ladder_that_finds_needs_to_know_how() -> None:
    text = GOOD.replace("ladder: native_key", "ladder: find_first")
    assert any("needs `find`" in each for each in problems(text))
    both = GOOD + '    find: {code: "a:b", path: /x}\n'
    assert any("one of the two" in each for each in problems(both))


def test_every_connector_that_is_shipped_can_be_used() -> None:
    registry = Registry.discover()

    for connector in registry:
        connector.check()
        assert connector.manifest.title
        assert (connector.folder / "README.md").is_file()
        if isinstance(connector.manifest.auth, OAuth2):
            assert "client_secret" in connector.manifest.secret_names()
    assert {"http", "quickbooks", "shipbob", "shopify", "smtp"} <= set(registry.names())
    with pytest.raises(UnknownConnector, match="quickbooks"):
        registry.get("nope")


def _connector(root: Path, name: str, title: str, code: str) -> None:
    folder = root / "connectors" / name
    folder.mkdir(parents=True)
    (folder / "connector.yaml").write_text(f'connector: {name}\ntitle: {title}\ncalls: {{hello: "code:hello"}}\n')
    (folder / "part.py").write_text("NAME = 'part'\n")
    (folder / "code.py").write_text(code)


def test_a_connector_of_the_home_takes_the_place_of_a_shipped_one(tmp_path: Path) -> None:
    code = "from .part import NAME\n\ndef hello(link):\n    return NAME\n"
    _connector(tmp_path, "smtp", "Ours", code)
    (tmp_path / "connectors" / "notes").mkdir()

    home, plain = Registry.discover(tmp_path), Registry.discover()

    assert home.get("smtp").manifest.title == "Ours"
    assert home.get("smtp").code("code:hello")(None) == "part"
    assert home.names() == plain.names()
    # the shipped one is loaded again when it is asked for
    assert callable(plain.get("smtp").code("mail:send"))
    assert home.get("smtp").code("code:hello")(None) == "part"


def test_code_that_is_missing_is_named(tmp_path: Path) -> None:
    _connector(tmp_path, "depot", "Depot", "def bye(link):\n    pass\n")
    _connector(tmp_path, "broken", "Broken", "import no_such_module\n")
    registry = Registry.discover(tmp_path)

    with pytest.raises(BrokenConnector, match=r"depot/code\.py has no function hello"):
        registry.get("depot").check()
    with pytest.raises(BrokenConnector, match="no_such_module"):
        registry.get("broken").check()


def test_a_folder_says_which_connector_it_is(tmp_path: Path) -> None:
    _connector(tmp_path, "depot", "Depot", "")
    (tmp_path / "connectors" / "depot" / "connector.yaml").write_text("connector: other\ntitle: Other\n")

    with pytest.raises(ManifestError, match="says it is 'other'"):
        Registry.discover(tmp_path).get("depot").manifest  # noqa: B018


PROOF = (
    GOOD
    + """\
    proof:
      path: "/orders/{settings.site}"
      query: {from: "{since}", page: "{page}"}
      paging: {by: page, size: 100}
      key: reference
      mine: {note: "^hub:"}
      same: {total: {there: total, here: "sum([line.amount for line in lines])"}}
"""
)


def test_the_list_that_proves_an_operation_is_read() -> None:
    proof = parse_manifest(PROOF, "connector.yaml").operations["order.create"].proof

    assert proof is not None
    assert (proof.id, proof.key, proof.items) == ("id", "reference", "")


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        ("{since}", "{sinse}", "15:21", "nothing is called 'sinse' here"),
        ('{settings.site}"\n      query', '{body.id}"\n      query', "14:13", "nothing is called 'body.id' here"),
        ("by: page", "by: leaf", "16:20", "'page', 'offset' or 'cursor'"),
        ("by: page", "by: cursor", "16:15", "`next` goes with `by: cursor`"),
        ("^hub:", "^hub(", "18:13", "no regular expression"),
        ("lines])", "lines)", "19:77", "closes nothing"),
        ('      path: "/orders/{settings.site}"\n', "", "14:7", "give `code` or `path`"),
    ],
)
def test_an_error_in_such_a_list_says_where_it_is(old: str, new: str, place: str, says: str) -> None:
    assert old in PROOF
    found = problems(PROOF.replace(old, new, 1))
    assert any(f"connector.yaml:{place}" in each and says in each for each in found), found
