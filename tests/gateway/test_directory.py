from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.events import Listing
from devices.model import Device
from gateway.directory import Directory
from gateway.evidence import Evidence
from gateway.hierarchy import Place
from gateway.refusals import InvalidError, TakenError
from gateway.residents import Enrolment
from gateway.store import Store
from gateway.vault import Vault
from gateway.vehicles import FieldError, Vehicle, checked_plate, decoded, listing_now, read_csv
from vision.gallery import Gallery

ZONE = ZoneInfo("Asia/Shanghai")
GATE = Device(id="gate-1", kind="face_gate", protocol="native", address="G1")
PLATES = st.from_regex(r"[京粤沪苏][A-HJ-NP-Z][0-9]{5}", fullmatch=True)


def listing(register: Directory, plate: str, now: datetime) -> Listing:
    vehicle = register.vehicle(plate)
    assert vehicle is not None
    return listing_now(vehicle, now)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "linli.db")
    yield store
    store.close()


def directory(store: Store) -> Directory:
    made = Directory(store, Vault.at(store.path.parent), Gallery(), zone="Asia/Shanghai", community="c-1")
    made.load()
    return made


def test_what_was_registered_is_there_after_a_restart(store: Store):
    before = directory(store)
    before.put_device(GATE)
    before.import_vehicles("plate,listing,owner,valid_to\n粤B12345,visitor,测试车主,2026-05-01\n")
    before.put_places([Place(id="c-1", kind="community", name="Community 1")])
    after = directory(store)
    assert after.devices() == before.devices() == [after.device("gate-1")]
    assert after.device_at("native", "G1") == after.device("gate-1")
    assert after.vehicles() == before.vehicles()
    assert after.vehicles()[0].owner == "测试车主"
    assert after.places() == before.places()


def test_an_address_belongs_to_one_device(store: Store):
    register = directory(store)
    assert register.put_device(GATE) is True
    with pytest.raises(TakenError):
        register.put_device(Device(id="gate-2", kind="face_gate", protocol="native", address="G1"))
    assert [device.id for device in directory(store).devices()] == ["gate-1"]


def test_an_unknown_protocol_is_refused(store: Store):
    with pytest.raises(InvalidError, match="there is no protocol"):
        directory(store).put_device(Device(id="x", kind="face_gate", protocol="morse", address="x"))


def test_an_owners_name_is_not_in_the_clear_on_the_disk(store: Store):
    directory(store).import_vehicles("plate,owner\n粤B12345,测试车主\n")
    content = b"".join(path.read_bytes() for path in store.path.parent.iterdir())
    assert "测试车主".encode() not in content


def test_dates_are_the_estates_and_the_last_day_counts(store: Store):
    register = directory(store)
    register.import_vehicles(
        "plate,listing,valid_from,valid_to\n粤B12345,allow,2026/1/2,2026-01-03\n粤B54321,黑名单,,2026-01-03\n"
    )
    midnight = datetime(2026, 1, 2, tzinfo=ZONE).astimezone(UTC)
    second = timedelta(seconds=1)
    stands = [
        listing(register, "粤B12345", at)
        for at in (midnight - second, midnight, midnight + timedelta(days=2) - second, midnight + timedelta(days=2))
    ]
    assert stands == [Listing.EXPIRED, Listing.ALLOW, Listing.ALLOW, Listing.EXPIRED]
    assert listing(register, "粤B54321", midnight) is Listing.BLOCK
    assert listing(register, "粤B54321", midnight + timedelta(days=9)) is Listing.UNKNOWN


@pytest.mark.parametrize(
    "plate",
    [
        "粤B12345",
        "粤b·12345",
        "京AD12345",
        "粤Z1234港",
        "京A1234警",
        "使014578",
        "WJ京1234X",
    ],
)
def test_plates_of_many_kinds_are_plates(plate: str):
    assert 7 <= len(checked_plate(plate)) <= 8


@pytest.mark.parametrize("plate", ["", "12345678", "AB12345", "粤B123", "粤B1234567", "粤B12'45", "测试车主的名字"])
def test_what_is_no_plate_is_none(plate: str):
    with pytest.raises(FieldError):
        checked_plate(plate)


@given(
    st.lists(PLATES, unique=True, max_size=20),
    st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16"]),
    st.sampled_from(",;\t"),
)
def test_every_good_line_is_read_whatever_wrote_the_file(plates: list[str], encoding: str, delimiter: str):
    text = "\r\n".join([delimiter.join(["备注", "车牌", "车主"]), *(delimiter.join(["x", p, "测试"]) for p in plates)])
    vehicles, errors = read_csv(decoded(text.encode(encoding)), ZONE)
    assert (sorted(v.plate for v in vehicles), errors) == (sorted(plates), [])


@given(
    st.lists(st.tuples(st.one_of(PLATES, st.text(max_size=9)), st.text(max_size=9), st.text(max_size=9)), max_size=8)
)
def test_each_line_is_taken_whole_or_reported_and_never_quoted(rows: list[tuple[str, str, str]]):
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(["plate", "valid_to", "owner"])
    writer.writerows(rows)
    vehicles, errors = read_csv(out.getvalue(), ZONE)
    assert len(vehicles) + len(errors) <= len(rows)
    assert len({v.plate for v in vehicles}) == len(vehicles)
    for error in errors:
        assert error.line >= 2
        assert set(error.value_hint) <= set("9A汉")


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_in_words(content: bytes):
    try:
        text = decoded(content)
    except FieldError:
        return
    vehicles, errors = read_csv(text, ZONE)
    assert isinstance(vehicles, list)
    assert all(error.error for error in errors)


def test_a_plate_that_stands_twice_counts_the_first_time():
    vehicles, errors = read_csv("plate,listing\n粤B12345,allow\n\n粤B·12345,block\n", ZONE)
    assert [v.listing for v in vehicles] == [Listing.ALLOW]
    assert [(e.line, e.error) for e in errors] == [(4, "the plate stands on line 2 already")]


def test_a_file_without_a_header_is_refused_at_once():
    vehicles, errors = read_csv("粤B12345,allow\n粤B54321,allow\n", ZONE)
    assert (vehicles, [e.line for e in errors]) == ([], [1])


def test_who_may_be_compared_follows_consents_as_they_begin_end_change_and_are_withdrawn(store: Store, tmp_path: Path):
    register, now = directory(store), datetime(2026, 3, 1, tzinfo=UTC)
    photos = Evidence(tmp_path / "evidence", Vault.at(tmp_path))
    gate = Device(id="g3", kind="face_gate", protocol="native", address="G3", building="3")

    def enrol(name: str, *, days: float, scope: str = "estate", building: str = "3", begins: float = 0) -> None:
        until = now + timedelta(days=days)
        new = Enrolment(name=name, building=building, scope=scope, until=until, recorded_by="o", cards=[name], id=name)
        register.enrol(new, photos, now + timedelta(days=begins))

    enrol("ann", days=1)
    enrol("bo", days=3, building="4")
    enrol("chen", days=3, scope="building:4", building="4")
    enrol("dai", days=3, begins=2)
    people = register.residents
    assert (people.may_match(gate, now), people.neighbours(gate, now)) == ({"ann", "bo"}, {"ann"})
    assert people.neighbours(GATE, now) == frozenset(), "a gate without a building has no neighbours"
    later = now + timedelta(days=1)
    assert (people.may_match(gate, later), people.neighbours(gate, later)) == ({"bo"}, set())
    assert people.may_match(gate, now + timedelta(days=2)) == {"bo", "dai"}
    assert people.may_match(gate, now) == {"ann", "bo"}, "also when the clock was set back"
    people.renew("chen", scope="estate", until=now + timedelta(days=9), recorded_by="o", now=now)
    assert people.may_match(gate, now) == {"ann", "bo", "chen"}
    people.withdraw("bo", photos, now)
    assert people.may_match(gate, now) == {"ann", "chen"}
    assert directory(store).residents.neighbours(gate, now) == {"ann"}


def test_what_a_site_file_brings_is_resembled_and_is_a_lane_at_once(store: Store):
    estate = directory(store)
    lane = Device(id="lane-9", kind="barrier", protocol="native", address="L9", community="c-1", direction="in")
    car = Vehicle(plate="沪A12345", id="veh_9", listing=Listing.ALLOW)
    assert (estate.near_plates("沪A1234S"), estate.lanes("c-1")) == ([], ())
    estate.apply(devices=[lane], gone_devices=[], vehicles=[car], gone_vehicles=[])
    assert (estate.near_plates("沪A1234S"), estate.lanes("c-1")) == ([car], (lane,))
    estate.apply(devices=[], gone_devices=["lane-9"], vehicles=[], gone_vehicles=["沪A12345"])
    assert (estate.near_plates("沪A1234S"), estate.lanes("c-1")) == ([], ())
