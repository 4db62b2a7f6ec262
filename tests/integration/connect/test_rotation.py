"""The root key is changed while everything goes on: whatever is killed or late, nothing is lost and nothing stays behind."""

from __future__ import annotations

import base64
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from hub.connect import rotation, sealed
from hub.connect.rootkeys import KeyRing, KeysElsewhere, VaultError, create_secret_key, load_root_keys, root_key
from hub.connect.rotation import NoSuchKey, Rotation, StillSeals
from hub.connect.vault import KEYS, ROOTS, SecretErased, Vault
from hub.db.engine import Database
from hub.db.types import now_us

CONNECTIONS = 7


class Place:
    """A hub's keys and what they seal: a chain key, party keys, and the secrets of connections of two merchants."""

    def __init__(self, database: Database, home: Path) -> None:
        self.database, self.home = database, home
        self.file = create_secret_key(home)
        self.vault = self.process()
        database.ids.ensure(1_000)
        with database.write() as connection:
            self.chain = self.vault.data_key(connection, 1, "chain").key
            for number in range(CONNECTIONS):
                self.vault.data_key(connection, 1, "personal", f"party:{number}")
            for number in range(1, CONNECTIONS + 1):
                self.connect(connection, number)

    def process(self) -> Vault:
        """The vault of one more process: with the keys as the file says them."""
        return Vault(KeyRing.of(self.home), self.database.ids)

    def connect(self, connection: sa.Connection, number: int) -> None:
        merchant = 1 + number % 2
        row = {
            "id": number, "merchant_id": merchant, "name": f"shop-{number}", "connector": "shopify", "mode": "live",
            "settings": "{}", "status": "connected", "created_at": 1, "updated_at": 1,
            **sealed.values(connection, self.vault, merchant, number, {"token": f"token-{number}"}),
        }  # fmt: skip
        connection.execute(sealed.TABLE.insert(), row)

    def rotation(self, vault: Vault | None = None, database: Database | None = None) -> Rotation:
        return Rotation(database or self.database, vault or self.vault, now_us)

    def ids(self) -> list[str]:
        return [root.id for root in load_root_keys(self.home, {})]

    def tokens(self, vault: Vault) -> dict[int, str]:
        """Every secret, opened."""
        with self.database.read() as connection:
            rows = connection.execute(sa.select(sealed.TABLE)).mappings().all()
            return {row["id"]: sealed.opened(connection, vault, row)["token"] for row in rows}

    def assert_all_is_there(self, newest: str) -> None:
        """Everything opens with the newest root key alone, and is sealed by nothing older."""
        (root,) = [each for each in load_root_keys(self.home, {}) if each.id == newest]
        alone = Vault([root], self.database.ids)
        assert self.tokens(alone) == {number: f"token-{number}" for number in range(1, CONNECTIONS + 1)}
        with self.database.read() as connection:
            assert set(connection.execute(sa.select(KEYS.c.sealed_by)).scalars()) == {newest}
            assert alone.data_key(connection, 1, "chain").key == self.chain
            for row in connection.execute(sa.select(KEYS.c.id, KEYS.c.merchant_id)).all():
                alone.key(connection, row.merchant_id, row.id)
            used = sa.select(KEYS.c.retired_at).join(sealed.TABLE, sealed.TABLE.c.secrets_key_id == KEYS.c.id)
            assert set(connection.execute(used).scalars()) == {None}


@pytest.fixture
def place(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.delenv("HUB_SECRET_KEY", raising=False)
    monkeypatch.setattr(rotation, "BATCH", 3)
    return Place(database, tmp_path / "home")


class Killed(BaseException):
    """The process is gone."""


class Mortal(Database):
    """A process that is killed at its n-th transaction: before it commits, or when it just has."""

    deadline = 0
    after = False

    @contextmanager
    def write(self, *, first: bool = False) -> Iterator[sa.Connection]:
        self.deadline -= 1
        with super().write(first=first) as connection:
            yield connection
            if self.deadline == 0 and not self.after:
                raise Killed
        if self.deadline == 0:
            raise Killed


def _killed(place: Place, at: int, *, after: bool) -> bool:
    """Rotates in a process that is killed at a transaction; whether it came so far."""
    mortal = Mortal(str(place.database.url.render_as_string(hide_password=False)))
    mortal.ids = place.database.ids
    mortal.deadline, mortal.after = at, after
    try:
        place.rotation(place.process(), mortal).rotate()
    except Killed:
        return True
    finally:
        mortal.dispose()
    return False


def test_everything_is_sealed_by_the_new_key_and_the_old_one_can_go(place: Place) -> None:
    (old,) = place.ids()
    before = _sealed_secrets(place)

    done = place.rotation().rotate()

    assert (done.made, done.refused, done.values) == (True, [], CONNECTIONS)
    assert place.ids() == [done.root, old]
    assert place.file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(place.home) == ["secret.key"]
    place.assert_all_is_there(done.root)
    # whoever has the old key and an old copy of the database has the old data keys: they seal no secret any more
    assert not before & _sealed_secrets(place)
    assert [(each.id, each.state) for each in place.rotation().known()] == [
        (done.root, "seals"),
        (old, "seals nothing"),
    ]

    dropped = place.rotation().drop(old)

    assert (dropped.state, place.ids()) == ("dropped", [done.root])
    place.assert_all_is_there(done.root)


def _sealed_secrets(place: Place) -> set[bytes]:
    with place.database.read() as connection:
        rows = connection.execute(sa.select(sealed.TABLE.c.secrets)).scalars().all()
    # version and id of the data key
    return {bytes(each[:9]) for each in rows}


@pytest.mark.parametrize("after", [False, True])
def test_a_rotation_that_is_killed_anywhere_goes_on_with_the_same_key(place: Place, after: bool) -> None:
    kills = 0
    for at in range(1, 200):
        keys_before = place.ids()
        if not _killed(place, at, after=after):
            break
        kills += 1
        place.tokens(place.process())  # nothing is closed to anybody meanwhile
        # killed a second time, elsewhere
        kills += _killed(place, max(1, at // 2), after=not after)

        done = place.rotation(place.process()).rotate()

        assert len(place.ids()) <= len(keys_before) + 2
        place.assert_all_is_there(done.root)
        for each in place.ids()[1:]:
            place.rotation(place.process()).drop(each)
    assert kills > 10  # each of its transactions


def test_a_rotation_killed_before_its_end_makes_no_second_key(place: Place) -> None:
    (old,) = place.ids()
    assert _killed(place, 4, after=True)
    made, _ = place.ids()

    done = place.rotation(place.process()).rotate()

    assert (done.made, done.root, place.ids()) == (False, made, [made, old])
    place.assert_all_is_there(made)


def test_others_seal_and_open_all_the_while(place: Place) -> None:
    """Four threads with vaults of their own change secrets, make keys and read, through three rotations."""
    stop = threading.Event()
    wrong: list[BaseException] = []
    rounds = [0] * 4

    def work(number: int) -> None:
        vault = place.process()
        try:
            while not stop.is_set():
                rounds[number] += 1
                place.database.ids.ensure(4)
                with place.database.write() as connection:
                    row = sealed.held(connection, 1 + rounds[number] % CONNECTIONS)
                    assert row is not None
                    secrets = sealed.opened(connection, vault, row)
                    columns = sealed.values(connection, vault, row["merchant_id"], row["id"], secrets)
                    sealed.change(connection, row, now_us(), **columns)
                    vault.data_key(connection, 1, "personal", f"party:{number}:{rounds[number]}")
                place.tokens(vault)
        except BaseException as error:  # noqa: BLE001 - told below
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(rounds))]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            done = place.rotation(place.process()).rotate()
            assert done.refused == []
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert wrong == []
    assert min(rounds) > 1
    # what was in hand when it ended is found by the next call, which makes no other key for it
    last = place.rotation(place.process()).rotate()
    place.assert_all_is_there(last.root)


def test_a_process_that_never_heard_of_the_new_key_is_found_and_in_the_end_refused(place: Place) -> None:
    (old,) = load_root_keys(place.home, {})
    stale = Vault([old], place.database.ids)  # its keys come from its environment
    done = place.rotation().rotate()
    with place.database.write() as connection:
        late = stale.data_key(connection, 1, "personal", "party:late").key

    with pytest.raises(StillSeals, match="still seals 1 data keys: run `hub keys rotate`"):
        place.rotation().drop(old.id)
    again = place.rotation().rotate()

    assert (again.made, again.root, again.data_keys) == (False, done.root, 1)
    with place.database.read() as connection:
        assert place.vault.data_key(connection, 1, "personal", "party:late").key == late
    place.rotation().drop(old.id)
    with place.database.write() as connection, pytest.raises(VaultError, match="was dropped: nothing is sealed by it"):
        stale.data_key(connection, 1, "personal", "party:later")


def test_who_seals_by_the_old_key_at_this_moment_is_waited_for(place: Place) -> None:
    """A key that is made in a transaction which is still open when everything else is sealed anew."""
    if place.database.sqlite:
        pytest.skip("one writer at a time: nobody else's transaction is open")
    (old,) = load_root_keys(place.home, {})
    stale = Vault([old], place.database.ids)
    begun, ended = threading.Event(), threading.Event()
    late = ExitStack()

    class Met(Rotation):
        def _renew_vault_keys(self, since: int) -> None:
            connection = late.enter_context(place.database.write())
            stale.data_key(connection, 1, "personal", "party:late")
            begun.set()
            super()._renew_vault_keys(since)

    rotation = Met(place.database, place.vault, now_us)
    rotating = threading.Thread(target=lambda: (rotation.rotate(), ended.set()))
    rotating.start()
    assert begun.wait(10)
    waited = not ended.wait(0.3)
    late.close()
    rotating.join()

    assert waited
    place.assert_all_is_there(place.ids()[0])


def test_what_was_tampered_with_is_told_and_left_and_the_rest_is_sealed_anew(place: Place) -> None:
    (old,) = place.ids()
    with place.database.write() as connection:
        victim = connection.execute(sa.select(KEYS).where(KEYS.c.subject == "party:2")).one()
        changed = bytes(victim.sealed[:-1]) + bytes([victim.sealed[-1] ^ 1])
        connection.execute(KEYS.update().where(KEYS.c.id == victim.id).values(sealed=changed))

    done = place.rotation().rotate()

    assert done.refused == [f"data key {victim.id} does not open: its row was changed"]
    with place.database.read() as connection:
        left = connection.execute(sa.select(KEYS).where(KEYS.c.sealed_by == old)).all()
        assert [(each.id, bytes(each.sealed)) for each in left] == [(victim.id, changed)]
        with pytest.raises(VaultError, match="its row was changed"):
            place.process().key(connection, 1, victim.id)
    with pytest.raises(StillSeals):
        place.rotation().drop(old)

    with place.database.write() as connection:  # its row comes back out of a backup
        connection.execute(KEYS.update().where(KEYS.c.id == victim.id).values(sealed=victim.sealed))
    assert place.rotation().rotate().root == done.root
    place.assert_all_is_there(done.root)


def test_a_secret_moved_to_another_row_is_refused_by_a_rotation_too(place: Place) -> None:
    with place.database.write() as connection:
        stolen = connection.execute(sa.select(sealed.TABLE.c.secrets).where(sealed.TABLE.c.id == 1)).scalar_one()
        connection.execute(sealed.TABLE.update().where(sealed.TABLE.c.id == 3).values(secrets=stolen))

    done = place.rotation().rotate()

    assert done.refused == ["connection 'shop-3': connection.secrets of row 3 does not open: it was changed or moved"]
    assert done.values == CONNECTIONS - 1


def test_a_party_that_is_erased_stays_erased(place: Place) -> None:
    with place.database.write() as connection:
        erased = place.vault.data_key(connection, 1, "personal", "party:0")
        place.vault.erase(connection, 1, "party:0")

    place.rotation().rotate()

    with place.database.read() as connection, pytest.raises(SecretErased):
        place.process().key(connection, 1, erased.id)


def test_two_that_rotate_at_once_end_with_one_new_key(place: Place) -> None:
    (old,) = place.ids()
    begin = threading.Barrier(2)
    done: list[Any] = []

    def rotate() -> None:
        vault = place.process()
        begin.wait()
        done.append(place.rotation(vault).rotate())

    threads = [threading.Thread(target=rotate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(done) == 2
    # or one after the other, when the first had ended before the second began
    newest, *others = place.ids()
    assert others[-1] == old
    assert len(others) == sum(each.made for each in done)
    place.assert_all_is_there(newest)


def test_what_cannot_be_dropped_is_said_with_what_to_do(place: Place) -> None:
    (old,) = place.ids()
    with pytest.raises(StillSeals, match="is the one that seals: run `hub keys rotate` first"):
        place.rotation().drop(old)
    with pytest.raises(NoSuchKey, match="see `hub keys list`"):
        place.rotation().drop("0123456789abcdef")


def test_keys_of_the_environment_are_never_written(place: Place) -> None:
    (old,) = load_root_keys(place.home, {})
    new = root_key(bytes(range(32)))
    fixed = Vault([old], place.database.ids)
    with pytest.raises(KeysElsewhere, match=r"HUB_SECRET_KEY=OLD,NEW .* then HUB_SECRET_KEY=NEW,OLD"):
        place.rotation(fixed).rotate()
    assert place.rotation(Vault([old, new], place.database.ids)).known()[1].state == "seals nothing"

    both = Vault([new, old], place.database.ids)
    done = place.rotation(both).rotate()

    assert (done.root, done.made, done.values) == (new.id, False, CONNECTIONS)
    with pytest.raises(KeysElsewhere, match="Take it out of HUB_SECRET_KEY"):
        place.rotation(both).drop(old.id)
    alone = Vault([new], place.database.ids)
    assert place.rotation(alone).drop(old.id).state == "dropped"
    assert place.ids() == [old.id]  # the file was not asked


def test_no_key_is_in_the_database_a_log_or_an_error(
    place: Place, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with structlog.testing.capture_logs() as logs, caplog.at_level(logging.DEBUG):
        done = place.rotation().rotate()
        old = place.ids()[1]
        told = [repr(done), repr(place.rotation().known()), repr(place.vault.roots.all())]
        with pytest.raises(StillSeals) as caught:
            place.rotation().drop(done.root)
        place.rotation().drop(old)
    with place.database.read() as connection:
        rows = [str(dict(row)) for table in (KEYS, ROOTS) for row in connection.execute(sa.select(table)).mappings()]
    text = "\n".join([*told, *rows, str(caught.value), str(logs), caplog.text, *capsys.readouterr()])

    assert done.root in text
    for root in load_root_keys(place.home, {}):
        for form in (root.key.hex(), base64.b64encode(root.key).decode(), str(root.key)):
            assert form not in text


# -- the ring of a process ------------------------------------------------------------------------------------------


def test_a_process_finds_a_key_that_was_added_and_loses_one_that_was_taken_out(tmp_path: Path) -> None:
    create_secret_key(tmp_path)
    now = [0.0]
    mine, theirs = (KeyRing(load_root_keys(tmp_path, {}), tmp_path, lambda: now[0]) for _ in range(2))
    (old,) = mine.all()

    new = theirs.add()

    assert mine.all() == [old]  # looked at not long ago
    assert mine.get(new.id) == new  # one that is not known is looked for
    assert mine.first == new
    theirs.remove(old.id)
    now[0] += 1.0
    assert mine.all() == [new]
    assert mine.get(old.id) is None


def test_a_file_that_is_wrong_or_gone_takes_no_key_from_a_process(tmp_path: Path) -> None:
    file = create_secret_key(tmp_path)
    ring = KeyRing.of(tmp_path)
    (old,) = ring.all()
    for wrong in ("half a ke", "", base64.b64encode(b"short").decode()):
        file.write_text(wrong)
        ring.look()
        assert ring.all() == [old]
    file.unlink()
    ring.look()
    assert ring.all() == [old]


def test_a_file_that_cannot_be_written_changes_nothing_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = create_secret_key(tmp_path)
    before = file.read_bytes()
    ring = KeyRing.of(tmp_path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        VaultError, match=r"secret\.key cannot be written \(No space left on device\): run this as its owner"
    ):
        ring.add()

    assert (file.read_bytes(), os.listdir(tmp_path)) == (before, ["secret.key"])


def test_a_link_to_a_key_kept_elsewhere_stays_one(tmp_path: Path) -> None:
    (tmp_path / "safe").mkdir()
    kept = create_secret_key(tmp_path / "safe").rename(tmp_path / "safe" / "hub-key")
    home = tmp_path / "home"
    home.mkdir()
    (home / "secret.key").symlink_to(kept)

    new = KeyRing.of(home).add()

    assert (home / "secret.key").is_symlink()
    assert load_root_keys(home, {})[0] == new
    assert len(kept.read_text().splitlines()) == 2
