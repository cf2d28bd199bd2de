"""From a body to acknowledged messages: all at once, and all or an error."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from tests.edge import MemoryBus, bearer, receiver, sender
from tocsin.jetstream import Ack

TOGETHER = 64


class Gate(MemoryBus):
    """Acknowledges nothing before so many messages wait."""

    def __init__(self, waiting: int) -> None:
        super().__init__()
        self._barrier = asyncio.Barrier(waiting)

    async def publish(
        self, subject: str, data: bytes, headers: Mapping[str, str], **waiting: timedelta
    ) -> Ack:
        """Publish one message, together with the others."""
        await self._barrier.wait()
        return await super().publish(subject, data, headers, **waiting)


class Janitor(MemoryBus):
    """Makes room when it is asked, as long as there is something finished."""

    def __init__(self, *, bound: int, finished: int) -> None:
        super().__init__(bound=bound)
        self.questions: list[str] = []
        self.finished = finished

    async def ask(self, subject: str, **_waiting: timedelta) -> None:
        """Make room."""
        self.questions.append(subject)
        await asyncio.sleep(0)
        del self.kept[: self.finished]
        self.finished = 0


def events(count: int) -> list[dict[str, object]]:
    """Events of the generic source, each another."""
    return [{"message": str(number)} for number in range(count)]


async def test_requests_never_wait_for_each_others_acknowledgement() -> None:
    """Sixty-four posts are on their way to JetStream at the same time."""
    async with asyncio.timeout(5), sender(receiver(Gate(TOGETHER))) as client:
        posts = (
            client.post("/v1/alerts/generic", json=event, headers=bearer())
            for event in events(TOGETHER)
        )
        answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} == {202}


async def test_events_of_one_body_are_published_together() -> None:
    """The events of a body do not wait for each other either."""
    async with asyncio.timeout(5), sender(receiver(Gate(TOGETHER))) as client:
        answer = await client.post("/v1/alerts/generic", json=events(TOGETHER), headers=bearer())
    assert answer.json()["accepted"] == TOGETHER


async def test_body_of_many_events_is_published_in_parts() -> None:
    """A body with more events than are published at once is taken whole, in body order."""
    body = b"\n".join(b'{"message":%d}' % (number % 190) for number in range(240))
    bus = MemoryBus()
    async with sender(receiver(bus, max_events=500)) as client:
        outcome = (await client.post("/v1/alerts/generic", content=body, headers=bearer())).json()
    assert (outcome["accepted"], outcome["duplicates"]) == (190, 50)
    assert outcome["ids"][:50] == outcome["ids"][190:]


async def test_full_tenant_finds_room_that_can_be_made() -> None:
    """What is finished gives way to a burst, and the question is asked once for all of it."""
    bus = Janitor(bound=10, finished=10)
    async with sender(receiver(bus)) as client:
        for part in (events(20)[:10], events(20)[10:]):
            answer = await client.post("/v1/alerts/generic", json=part, headers=bearer())
            assert answer.json()["accepted"] == 10
    assert bus.questions == ["tocsin.room.acme"]


async def test_full_stream_finds_room_that_can_be_made() -> None:
    """A stream that is full for everybody has room made in it before anybody is refused."""
    bus = Janitor(bound=100, finished=1)
    bus.room = 20
    async with sender(receiver(bus)) as client:
        for event in events(2):
            answer = await client.post("/v1/alerts/generic", json=event, headers=bearer())
            assert answer.json()["accepted"] == 1
        answer = await client.post("/v1/alerts/generic", json={"message": "x"}, headers=bearer())
    assert bus.questions == ["tocsin.room.acme"] * 2
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:tocsin:problem:stream-full"


async def test_full_tenant_without_room_is_refused() -> None:
    """When nothing can give way the answer is a 503, and a repeat of all counts once."""
    bus = Janitor(bound=10, finished=0)
    async with sender(receiver(bus)) as client:
        refused = await client.post("/v1/alerts/generic", json=events(15), headers=bearer())
        assert refused.status_code == 503
        bus.bound = 100
        taken = await client.post("/v1/alerts/generic", json=events(15), headers=bearer())
    assert (taken.json()["accepted"], taken.json()["duplicates"]) == (5, 10)
