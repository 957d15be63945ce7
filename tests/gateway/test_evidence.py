from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.events import evidence_key
from gateway.evidence import PRUNE_FILES, Evidence
from gateway.store import Store, us
from gateway.vault import Vault

NOW = datetime(2024, 5, 1, 8, tzinfo=UTC)
IMAGE = b"\xff\xd8 not really a picture"
KEY = evidence_key(IMAGE)


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return Evidence(tmp_path / "evidence", Vault(bytes(32)))


def _file(evidence: Evidence, key: str) -> Path:
    return evidence._folder / key[:2] / key


def _capture(store: Store, key: str, expires: datetime) -> None:
    with store.write() as db:
        db.execute(
            "INSERT OR REPLACE INTO captures(key, device, at, size, media, expires) VALUES (?,?,?,?,?,?)",
            (key, "gate-1", us(NOW), len(IMAGE), "image/jpeg", us(expires)),
        )


def test_a_picture_comes_back_as_it_was_and_lies_encrypted(evidence: Evidence) -> None:
    evidence.write(KEY, IMAGE)
    assert evidence.read(KEY) == IMAGE
    assert b"picture" not in _file(evidence, KEY).read_bytes()
    assert _file(evidence, KEY).stat().st_mode & 0o077 == 0


def test_a_picture_that_is_there_is_not_written_again(evidence: Evidence) -> None:
    evidence.write(KEY, IMAGE)
    before = _file(evidence, KEY).read_bytes()
    evidence.write(KEY, IMAGE)
    assert _file(evidence, KEY).read_bytes() == before
    assert [path.name for path in _file(evidence, KEY).parent.iterdir()] == [KEY]


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:20] + bytes([b[20] ^ 1]) + b[21:]])
def test_a_damaged_file_reads_as_nothing_and_is_counted(evidence: Evidence, damage) -> None:
    evidence.write(KEY, IMAGE)
    file = _file(evidence, KEY)
    file.write_bytes(damage(file.read_bytes()))
    assert evidence.read(KEY) is None
    assert evidence.unreadable == 1


def test_a_truncated_file_is_mended_by_the_next_write(evidence: Evidence) -> None:
    evidence.write(KEY, IMAGE)
    _file(evidence, KEY).write_bytes(b"short")
    evidence.write(KEY, IMAGE)
    assert evidence.read(KEY) == IMAGE


def test_a_file_under_another_name_does_not_open(evidence: Evidence) -> None:
    evidence.write(KEY, IMAGE)
    other = KEY[:2] + "0" * 62
    _file(evidence, KEY).rename(_file(evidence, other))
    assert evidence.read(other) is None


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "AB" * 32, "ab" * 15, "ab" * 33, "ab" * 32 + "\n", "a/" * 20])
def test_a_key_that_is_not_hex_never_becomes_a_path(evidence: Evidence, key: str) -> None:
    for use in (evidence.read, evidence.delete, lambda k: evidence.write(k, IMAGE)):
        with pytest.raises(ValueError, match="hex digits"):
            use(key)


def test_deleting_twice_is_fine(evidence: Evidence) -> None:
    evidence.write(KEY, IMAGE)
    evidence.delete(KEY)
    evidence.delete(KEY)
    assert evidence.read(KEY) is None


def test_pictures_past_their_time_go_and_others_stay(evidence: Evidence, tmp_path: Path) -> None:
    store = Store(tmp_path / "linli.db")
    other = evidence_key(b"another")
    evidence.write_many({KEY: IMAGE, other: b"another"})
    _capture(store, KEY, NOW)
    _capture(store, other, NOW + timedelta(seconds=1))
    assert evidence.prune(store, NOW) == 1
    assert evidence.read(KEY) is None
    assert evidence.read(other) == b"another"
    assert [row["key"] for row in store.reader.execute("SELECT key FROM captures")] == [other]


def test_a_picture_sent_again_while_it_expires_survives_until_its_row_is_renewed(
    evidence: Evidence, tmp_path: Path
) -> None:
    store = Store(tmp_path / "linli.db")
    evidence.write(KEY, IMAGE)
    _capture(store, KEY, NOW)
    evidence.write(KEY, IMAGE)
    assert evidence.prune(store, NOW) == 0
    _capture(store, KEY, NOW + timedelta(days=30))
    assert evidence.prune(store, NOW) == 0
    assert evidence.read(KEY) == IMAGE


def test_pruning_goes_in_small_steps_until_nothing_is_left(evidence: Evidence, tmp_path: Path) -> None:
    store = Store(tmp_path / "linli.db")
    for number in range(PRUNE_FILES + 5):
        _capture(store, f"{number:064x}", NOW)
    assert [evidence.prune(store, NOW) for _ in range(3)] == [PRUNE_FILES, 5, 0]


@given(image=st.binary(max_size=200))
def test_any_bytes_come_back(tmp_path_factory: pytest.TempPathFactory, image: bytes) -> None:
    evidence = Evidence(tmp_path_factory.getbasetemp() / "any", Vault(bytes(32)))
    evidence.write(evidence_key(image), image)
    assert evidence.read(evidence_key(image)) == image
