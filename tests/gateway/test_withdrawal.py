"""Who withdraws is gone: from the index, the store, the caches, and from every byte of the database's files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from devices.events import DenyReason, FaceOutcome, Method
from gateway.actions import NotFoundError
from gateway.enrolment import Known
from gateway.residents import Enrolment, Face
from tests.gateway.shell import GATE
from tests.gateway.test_face_sight import Site, print_of, vector
from vision.types import Identified

PIECE = 32
"""No piece of a template of so many bytes may be found."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.shell.close()


def template(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, 128).astype("<f4")


def pieces(raw: bytes) -> set[bytes]:
    return {raw[at : at + PIECE] for at in range(len(raw) - PIECE + 1)}


def found_in(files: list[Path], wanted: set[bytes]) -> list[str]:
    """Which files hold one of these pieces, at whatever place."""
    guilty = []
    for path in files:
        content = path.read_bytes()
        if any(content[at : at + PIECE] in wanted for at in range(len(content) - PIECE + 1)):
            guilty.append(path.name)
    return guilty


def database_files(site: Site) -> list[Path]:
    return sorted(site.folder.glob("linli.db*"))


def test_no_piece_of_a_template_is_ever_in_the_files_and_none_of_its_sealed_form_after_withdrawal(site: Site) -> None:
    mine, wrong = template(1), template(2)
    site.enrol("ann", mine, more=2)
    site.enrol("bo", template(3))
    site.shell.directory.residents.not_them("ann", "ab" * 32, wrong.tobytes(), recorded_by="desk", now=site.shell.now)
    raw = pieces(mine.tobytes()) | pieces(wrong.tobytes())
    files = database_files(site)
    assert {path.name for path in files} >= {"linli.db", "linli.db-wal", "linli.db-shm"}
    assert found_in(files, raw) == []
    hers = site.shell.rows("SELECT vector FROM templates WHERE person = 'ann' UNION ALL SELECT vector FROM not_them")
    sealed = {piece for (form,) in hers for piece in pieces(form)}
    assert found_in(files, sealed), "while enrolled it is there, sealed"
    site.shell.directory.withdraw("ann", site.shell.evidence, site.shell.now)
    assert found_in(database_files(site), raw | sealed) == []
    assert [p for (p,) in site.shell.rows("SELECT person FROM templates")] == ["bo"]


def test_nobody_who_withdrew_is_left_in_index_store_or_caches_also_after_a_restart(site: Site) -> None:
    mine = template(1)
    site.enrol("ann", mine)
    site.enrol("bo", vector(3.0))
    assert site.show("a", mine, print_of(1)).person == "ann"
    (capture,) = site.shell.rows("SELECT key FROM captures")
    site.shell.directory.residents.not_them(
        "ann", "ab" * 32, template(2).tobytes(), recorded_by="desk", now=site.shell.now
    )
    receipt = site.shell.directory.withdraw("ann", site.shell.evidence, site.shell.now)
    assert (receipt.templates_deleted, receipt.photos_deleted) == (1, 2)
    for _ in range(2):
        shell, people = site.shell, site.shell.directory.residents
        assert shell.gallery.people() == {"bo"}
        assert shell.directory.may_match(GATE, shell.now) == {"bo"}
        assert people.homes({"ann"}) == {"": {"ann"}}
        assert shell.directory.may_pass("ann", GATE, shell.now)[1] is DenyReason.CREDENTIAL_NOT_ENABLED
        for table in ("people", "templates", "credentials", "not_them"):
            column = "id" if table == "people" else "person"
            assert shell.rows(f"SELECT count(*) FROM {table} WHERE {column} = 'ann'") == [(0,)]
        assert shell.rows("SELECT count(*) FROM sightings") == shell.rows("SELECT count(*) FROM captures") == [(0,)]
        assert shell.evidence.read(capture[0]) is None
        with pytest.raises(NotFoundError):
            people.get("ann")
        site.restart()
    assert site.show("b", mine, print_of(2)).outcome is FaceOutcome.STRANGER


def test_a_search_that_begins_after_a_withdrawal_never_names_the_person(site: Site) -> None:
    """Searches from two threads all the while; from the moment `withdraw` has returned none may name who went."""
    people = {f"p-{n}": template(n + 10) for n in range(12)}
    for name, own in people.items():
        site.enrol(name, own)
    gone: set[str] = set()
    wrong: list[str] = []
    rounds, turned, over = [0, 0], threading.Condition(), threading.Event()

    def search(own_number: int) -> None:
        while not over.is_set():
            for name, own in people.items():
                went_before = name in gone
                match = site.shell.gallery.identify(own)
                if went_before and isinstance(match, Identified) and match.person == name:
                    wrong.append(name)
            with turned:
                rounds[own_number] += 1
                turned.notify()

    threads = [threading.Thread(target=search, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for name in list(people)[:-1]:
        site.shell.directory.withdraw(name, site.shell.evidence, site.shell.now)
        gone.add(name)
        with turned:  # a whole round of each that began after it
            wanted = [n + 2 for n in rounds]
            assert turned.wait_for(lambda: all(map(int.__ge__, rounds, wanted)), timeout=60)  # noqa: B023 - waited for here
    over.set()
    for thread in threads:
        thread.join()
    assert (wrong, site.shell.gallery.people()) == ([], {"p-11"})


def test_photos_for_somebody_who_withdrew_meanwhile_are_kept_nowhere(site: Site) -> None:
    site.enrol("ann", template(1))
    known = site.shell.directory.residents.known(site.shell.thresholds.at, person="ann")
    assert isinstance(known, Known)
    site.shell.directory.withdraw("ann", site.shell.evidence, site.shell.now)
    new = [Face(image=b"\xff\xd8\xffnew", embedding=template(1).tobytes())]
    with pytest.raises(NotFoundError):
        site.shell.directory.residents.add_faces("ann", new, site.shell.evidence, site.shell.now)
    assert len(site.shell.gallery) == 0
    assert [path for path in (site.folder / "evidence").rglob("*") if path.is_file()] == []


def test_a_card_of_somebody_who_withdrew_opens_nothing_and_may_be_given_to_another(site: Site) -> None:
    until = site.shell.now + timedelta(days=3)
    for name in ("ann", "bo"):
        new = Enrolment(name=name, building="b1", scope="estate", until=until, recorded_by="o", cards=["77"], id=name)
        site.shell.directory.enrol(new, site.shell.evidence, site.shell.now)
        assert site.shell.directory.check_credential(Method.CARD, "77", GATE, site.shell.now)[:2] == (True, name)
        site.shell.directory.withdraw(name, site.shell.evidence, site.shell.now)
        assert site.shell.directory.check_credential(Method.CARD, "77", GATE, site.shell.now)[0] is False


def test_a_withdrawal_asked_for_again_gives_the_receipt_of_then_and_changes_nothing(site: Site) -> None:
    site.enrol("ann", template(1))
    directory, evidence, now = site.shell.directory, site.shell.evidence, site.shell.now
    first = directory.withdraw("ann", evidence, now)
    again = directory.withdraw("ann", evidence, now + timedelta(hours=1))
    assert (again.receipt, again.at, first.changed, again.changed) == (first.receipt, first.at, True, False)
    with pytest.raises(NotFoundError):
        directory.withdraw("nobody", evidence, now)
    site.enrol("ann", template(2))
    assert directory.withdraw("ann", evidence, now).receipt != first.receipt


def test_pictures_a_crash_left_behind_after_a_withdrawal_are_deleted_at_the_next_start(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.enrol("ann", template(1))
    ((photo,),) = site.shell.rows("SELECT photo FROM templates")

    def killed(_: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(site.shell.evidence, "delete", killed)
        with pytest.raises(KeyboardInterrupt):
            site.shell.directory.withdraw("ann", site.shell.evidence, site.shell.now)
    assert site.shell.evidence.read(photo) is not None
    site.shell.directory.residents.delete_doomed(site.shell.evidence)
    assert site.shell.evidence.read(photo) is None
    assert site.shell.rows("SELECT count(*) FROM doomed_files") == [(0,)]
