"""A gateway broken on purpose, run in place of `linli`: the first argument says how, the rest is `linli`'s."""

import sys
import time
import uuid
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from api import cli
from devices.model import Device, Reading
from gateway.engine import Engine
from gateway.inbox import Item, PostAnswer, Posted
from gateway.journal import Journal
from gateway.mqtt import Message, Mqtt
from gateway.reader import Reader


def acknowledges_before_it_commits() -> None:
    """The engine's order turned round, with time enough for a kill in between."""
    commit, decide = Journal.commit, Engine._batch

    def early(engine: Engine, messages: list[Message], *rest: Any, **more: Any) -> None:
        for message in messages:
            engine._mqtt.ack(message)
        engine._mqtt.flush()
        decide(engine, messages, *rest, **more)

    def slow(journal: Journal, batch: Any, now: Any) -> None:
        time.sleep(0.3)
        commit(journal, batch, now)

    Engine._batch, Journal.commit = early, slow  # type: ignore[method-assign, assignment]


def knows_no_record_again() -> None:
    """Every message counts as new."""
    Reader._identify = lambda *_: uuid.uuid4().bytes  # type: ignore[method-assign]


def answers_posts_before_it_commits() -> None:
    """What is posted is answered 200 first, with time enough for a kill before it is safe."""
    decide = Engine._batch

    def early(engine: Engine, messages: list[Message], items: list[Item], *rest: Any, **more: Any) -> None:
        posts = [n for n, item in enumerate(items) if isinstance(item.what, Posted) and item.answer is not None]
        for n in posts:
            items[n].answer.set_result(PostAnswer())  # type: ignore[union-attr]
            items[n] = Item(items[n].what)
        if posts:
            time.sleep(0.1)
        decide(engine, messages, items, *rest, **more)

    Engine._batch = early  # type: ignore[method-assign]


def knows_records_by_their_bytes() -> None:
    """A record's own id counts for nothing: told again in other words it is another."""
    identify = Reader._identify

    def by_bytes(reader: Reader, device: Device, reading: Reading, n: int, message: Message) -> bytes:
        return identify(reader, device, replace(reading, record_id=""), n, message)

    Reader._identify = by_bytes  # type: ignore[method-assign]


def retains_its_commands() -> None:
    """The broker keeps the last command for whoever subscribes next."""

    def retained(self: Mqtt, topic: str, payload: bytes, qos: int) -> bool:
        return bool(self._client.publish(topic, payload, qos=qos, retain=True).rc == 0)

    Mqtt.publish = retained  # type: ignore[method-assign]


def publishes_its_commands_twice() -> None:
    """Each command goes out again at once."""
    publish = Mqtt.publish

    def twice(self: Mqtt, topic: str, payload: bytes, qos: int) -> bool:
        publish(self, topic, payload, qos)
        return publish(self, topic, payload, qos)

    Mqtt.publish = twice  # type: ignore[method-assign]


def comes_back_no_more() -> None:
    """It starts once, and never again."""
    try:
        Path("started").touch(exist_ok=False)
    except FileExistsError:
        sys.exit("something is wrong with this gateway")


WAYS = {
    way.__name__: way
    for way in (
        acknowledges_before_it_commits,
        knows_no_record_again,
        answers_posts_before_it_commits,
        knows_records_by_their_bytes,
        retains_its_commands,
        publishes_its_commands_twice,
        comes_back_no_more,
    )
}

if __name__ == "__main__":
    WAYS[sys.argv.pop(1)]()
    cli.main()
