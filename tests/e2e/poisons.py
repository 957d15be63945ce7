"""What bad firmware, broken lines and bad people send, each with what must become of it."""

import base64
import gzip
import json
import struct
import zlib
from typing import Any, NamedTuple

JPEG_HEAD = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb004300")
GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)

NOW = "@now"
"""Stands for the time of sending, so that no message is late for having been made early."""

NOT_JSON = "payload is not JSON"
NO_FIT = "payload does not fit the protocol"
DEVICE_ID = "bad device id"
TOO_LARGE = "payload too large"


class Poison(NamedTuple):
    """One bad message. `topic` has {me} where the address of the test's own device goes.

    `reason`: it is quarantined for that. `stored`: it becomes one event of this type all the same. Neither: nothing
    at all comes of it. `late`: of the stored event.
    """

    name: str
    payload: bytes
    reason: str = ""
    stored: str = ""
    topic: str = "linli/v1/{me}/event"
    protocol: str = "native"
    late: bool = False
    qos: int = 1
    times: int = 1


def event(type_: str = "vendor_notice", *, at: str = "", image: str = "", stored: bool = False, **fields: Any) -> bytes:
    """A native event message."""
    body: dict[str, Any] = {"type": type_, "at": at or NOW, **fields}
    return json.dumps({"event": body, "image": image, "stored": stored}, ensure_ascii=False).encode()


def notice(**fields: Any) -> bytes:
    return event(name="x", **fields)


def picture(image: bytes) -> bytes:
    """A captured face with this picture."""
    return event("face_captured", image=base64.b64encode(image).decode())


def named(record_id: str) -> bytes:
    """A notice with this record id, as it stands in JSON."""
    return notice().replace(b'{"event"', b'{"id":"' + record_id.encode() + b'","event"')


def power(figure: str) -> bytes:
    """A lamp's power as a figure that no library would write."""
    return event("lamp_measured", active_power_w=0).replace(b'_w": 0', b'_w": ' + figure.encode())


def with_text(before: bytes, after: bytes) -> bytes:
    """A notice with something JSON cannot be made to hold by a library."""
    return notice().replace(before, after)


def png_bomb() -> bytes:
    """A PNG of a few bytes that says it is 60,000 pixels square."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IEND\xaeB`\x82"


def face(**info: Any) -> bytes:
    """A stranger's picture as an OEM terminal pushes it."""
    about = {"facesluiceId": "", "time": "2026-04-10 09:43:25", "SnapID": "1", **info}
    return json.dumps({"operator": "StrSnapPush", "info": about}).encode()


FRAMES = [
    Poison("text_that_is_not_json", b"hello", NOT_JSON),
    Poison("an_empty_payload", b"", NOT_JSON),
    Poison("half_a_message", notice()[:-20], NOT_JSON),
    Poison("two_messages_in_one", notice() * 2, NOT_JSON),
    Poison("compressed_json", gzip.compress(notice()), NOT_JSON),
    Poison("zeros", bytes(5000), NOT_JSON),
    Poison("gbk_instead_of_utf8", event(name="门禁").decode().encode("gbk"), NO_FIT),
    Poison("utf16", notice().decode().encode("utf-16"), NOT_JSON),
    Poison("a_byte_order_mark", b"\xef\xbb\xbf" + notice(), NOT_JSON),
    Poison("a_lone_surrogate", with_text(b'"x"', b'"\\ud800"'), NOT_JSON),
    Poison(
        "nested_a_hundred_thousand_deep", b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "payload nested too deeply"
    ),
    Poison("more_than_eight_megabytes", notice()[:-1] + b" " * 8_700_000 + b"}", TOO_LARGE),
    Poison("nan", event("lamp_measured", active_power_w=float("nan")), NOT_JSON),
    Poison("infinity", event("lamp_measured", active_power_w=float("inf")), NOT_JSON),
]

SHAPES = [
    Poison("null", b"null", NO_FIT),
    Poison("a_list", b"[]", NO_FIT),
    Poison("a_number", b"42", NO_FIT),
    Poison("an_object_without_an_event", b"{}", NO_FIT),
    Poison("an_event_that_is_a_list", b'{"event":[]}', NO_FIT),
    Poison("a_number_where_text_belongs", with_text(b'"x"', b"7"), NO_FIT),
    Poison("an_event_without_a_time", b'{"event":{"type":"vendor_notice","name":"x"}}', NO_FIT),
    Poison("a_time_without_a_zone", notice(at="2026-04-10T09:43:25"), NO_FIT),
    Poison("a_time_that_is_none", notice(at="yesterday"), NO_FIT),
    Poison("a_year_no_device_can_mean", notice(at="2150-01-01T00:00:00Z"), "time out of range"),
    Poison("an_unknown_event_type", event("coffee_ready"), "unknown event type"),
    *(
        Poison(f"an_internal_event_{type_}", event(type_), "internal event type")
        for type_ in ("face_identified", "plate_read", "plate_checked", "credential_checked", "ticked")
    ),
    Poison("a_negative_level", event("lamp_measured", level_pct=-1), NO_FIT),
    Poison("a_battery_above_a_hundred", event("battery_measured", level_pct=101), NO_FIT),
    Poison("a_number_of_five_thousand_digits", power("1" + "0" * 5000), NO_FIT),
    Poison("a_number_beyond_every_float", power("1e999"), NO_FIT),
    Poison("an_id_of_a_thousand_characters", named("i" * 1000), NO_FIT),
    Poison("a_status_with_wrong_types", b'{"online":"yes","boot_id":5}', NO_FIT, topic="linli/v1/{me}/status"),
    Poison("a_heartbeat_with_wrong_types", b'{"at":12}', NO_FIT, topic="linli/v1/{me}/heartbeat"),
    Poison("an_answer_without_a_command", b'{"result":"done"}', NO_FIT, topic="linli/v1/{me}/answer"),
]

ACCEPTED = [
    Poison("a_clock_at_1970", notice(at="1970-01-01T00:00:00Z"), stored="vendor_notice"),
    Poison("a_clock_at_2099", notice(at="2099-12-31T23:59:59Z"), stored="vendor_notice"),
    Poison("a_record_sent_three_times", notice(), stored="vendor_notice", times=3),
    Poison(
        "a_stored_record_from_the_future",
        notice(at="2090-01-01T00:00:00Z", stored=True),
        stored="vendor_notice",
        late=True,
    ),
    Poison("an_unknown_key_with_a_hundred_thousand_elements", notice(extra=[1] * 100_000), stored="vendor_notice"),
    Poison("the_same_key_twice", notice()[:-1] + b"," + notice()[1:], stored="vendor_notice"),
    Poison("signs_of_a_topic_in_an_id", named(r"a/+/#/\u0000"), stored="vendor_notice"),
    Poison("an_emoji_as_an_id", named("🚪\u202eأ"), stored="vendor_notice"),
    Poison("qos_0", notice(), stored="vendor_notice", qos=0),
    Poison("qos_2", notice(), stored="vendor_notice", qos=2),
]

PICTURES = [
    Poison(
        "a_picture_that_is_no_base64",
        event("face_captured", image="!!! no base64 !!!"),
        "a captured face without its picture",
    ),
    Poison("a_face_without_a_picture", event("face_captured"), "a captured face without its picture"),
    Poison("a_picture_of_five_megabytes", picture(JPEG_HEAD + bytes(5_000_000)), "image too large"),
    Poison("a_truncated_jpeg", picture(JPEG_HEAD), stored="face_identified"),
    Poison("a_gif_called_jpeg", picture(GIF), stored="face_identified"),
    Poison("a_png_that_says_it_is_huge", picture(png_bomb()), stored="face_identified"),
    Poison("four_megabytes_of_nothing", picture(JPEG_HEAD + bytes(4_000_000)), stored="face_identified"),
    Poison("text_instead_of_a_picture", picture(b"<html>401 Unauthorized</html>"), stored="face_identified"),
]

TOPICS = [
    Poison("a_device_nobody_registered", notice(), "unknown device", topic="linli/v1/ghost-1/event"),
    Poison("an_empty_device_id", notice(), DEVICE_ID, topic="linli/v1//event"),
    Poison("an_emoji_device_id", notice(), DEVICE_ID, topic="linli/v1/门🚪/event"),
    Poison("a_right_to_left_device_id", notice(), DEVICE_ID, topic="linli/v1/\u202egate/event"),
    Poison("a_device_id_of_a_hundred_characters", notice(), DEVICE_ID, topic=f"linli/v1/{'g' * 100}/event"),
    Poison("a_topic_one_level_short", notice(), topic="linli/v1/event"),
    Poison("a_topic_one_level_long", notice(), topic="linli/v1/{me}/event/extra"),
    Poison("a_topic_of_nobody", notice(), topic="tele/{me}/STATE"),
    Poison("a_forged_command", notice(), topic="linli/v1/{me}/command"),
]

TERMINAL = "mqtt/face/{me}/Snap"
CAMERA = "device/{me}/message/up/ivs_result"
VENDORS = [
    Poison(
        "another_terminals_name",
        face(facesluiceId="another"),
        "device id in topic and payload differ",
        topic=TERMINAL,
        protocol="oem_face",
    ),
    Poison(
        "a_terminal_id_with_topic_signs",
        b'{"operator":"Online","info":{"facesluiceId":"a/+/#"}}',
        DEVICE_ID,
        topic="mqtt/face/basic",
        protocol="oem_face",
    ),
    Poison(
        "a_terminal_id_with_a_nul",
        b'{"operator":"Online","info":{"facesluiceId":"a\\u0000b"}}',
        DEVICE_ID,
        topic="mqtt/face/basic",
        protocol="oem_face",
    ),
    Poison(
        "a_record_on_the_shared_topic",
        face(facesluiceId="x"),
        "operator not allowed on a shared topic",
        topic="mqtt/face/basic",
        protocol="oem_face",
    ),
    Poison("a_month_nought", face(time="0000-00-00 00:00:00"), "bad time", topic=TERMINAL, protocol="oem_face"),
    Poison("a_record_without_a_time", face(time=""), "a record without a time", topic=TERMINAL, protocol="oem_face"),
    Poison(
        "a_terminals_replay_of_spring",
        face(Sendintime=0),
        stored="access_denied",
        late=True,
        topic=TERMINAL,
        protocol="oem_face",
        times=2,
    ),
    Poison("a_plate_without_a_result", b'{"payload":{}}', NO_FIT, topic=CAMERA, protocol="vzenith"),
    Poison("an_envelope_that_is_a_list", b"[1,2,3]", NO_FIT, topic=CAMERA, protocol="vzenith"),
]

POISONS = [*FRAMES, *SHAPES, *ACCEPTED, *PICTURES, *TOPICS, *VENDORS]
