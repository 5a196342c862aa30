"""Concurrent submissions share calls, in order, within limits, and none is lost."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from tumorlens.server.batching import Batcher


class Network:
    """Answers with the double; can be held up, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.entered.set()
        assert self.gate.wait(20)
        self.batches.append(list(items))
        if -1 in items:
            raise ValueError("bad batch")
        return [2 * item for item in items]


async def entered(network: Network) -> None:
    await asyncio.to_thread(network.entered.wait, 20)


def test_what_comes_during_a_pass_shares_the_next() -> None:
    network = Network()

    async def work() -> list[int]:
        batcher = Batcher(network, size=8, seconds=0.0)
        batcher.start()
        network.gate.clear()
        first = asyncio.create_task(batcher.submit(0))
        await entered(network)
        rest = [asyncio.create_task(batcher.submit(item)) for item in range(1, 21)]
        while batcher.depth < 20:
            await asyncio.sleep(0)
        network.gate.set()
        found = await asyncio.gather(first, *rest)
        await batcher.stop()
        return list(found)

    assert asyncio.run(work()) == [2 * item for item in range(21)]
    assert network.batches == [[0], [*range(1, 9)], [*range(9, 17)], [*range(17, 21)]]


def test_waits_for_what_is_coming() -> None:
    """The deadline is an hour: only the arrival of the announced ones lets the batch go."""
    network = Network()
    coming = 3

    async def work() -> None:
        nonlocal coming
        batcher = Batcher(network, size=8, seconds=3600, coming=lambda: coming)
        batcher.start()
        tasks = []
        for item in range(4):
            tasks.append(asyncio.create_task(batcher.submit(item)))
            await asyncio.sleep(0.01)
            assert network.batches == []
            if item < 3:
                coming -= 1 if item < 2 else 0
        coming = 0
        batcher.nudge()
        assert await asyncio.gather(*tasks) == [0, 2, 4, 6]
        await batcher.stop()

    asyncio.run(work())
    assert network.batches == [[0, 1, 2, 3]]


def test_waits_no_longer_than_the_deadline() -> None:
    network = Network()

    async def work() -> None:
        batcher = Batcher(network, size=8, seconds=0.01, coming=lambda: 1)
        batcher.start()
        assert await batcher.submit(5) == 10
        await batcher.stop()

    asyncio.run(work())
    assert network.batches == [[5]]


def test_a_full_batch_waits_for_nothing() -> None:
    network = Network()

    async def work() -> None:
        batcher = Batcher(network, size=2, seconds=3600, coming=lambda: 1)
        batcher.start()
        assert [*await asyncio.gather(batcher.submit(1), batcher.submit(2))] == [2, 4]
        await batcher.stop()

    asyncio.run(work())


def test_an_error_reaches_all_of_its_batch_and_no_other() -> None:
    network = Network()

    async def work() -> None:
        batcher = Batcher(network, size=2, seconds=0.0)
        batcher.start()
        found = await asyncio.gather(
            *(batcher.submit(item) for item in (1, -1, 3, 4)), return_exceptions=True
        )
        assert [type(one) for one in found] == [ValueError, ValueError, int, int]
        await batcher.stop()

    asyncio.run(work())


def test_who_gives_up_is_left_out() -> None:
    network = Network()

    async def work() -> None:
        batcher = Batcher(network, size=8, seconds=0.0)
        batcher.start()
        network.gate.clear()
        first = asyncio.create_task(batcher.submit(0))
        await entered(network)
        gone, stays = (asyncio.create_task(batcher.submit(item)) for item in (1, 2))
        while batcher.depth < 2:
            await asyncio.sleep(0)
        gone.cancel()
        network.gate.set()
        assert [*await asyncio.gather(first, stays)] == [0, 4]
        with pytest.raises(asyncio.CancelledError):
            await gone
        await batcher.stop()

    asyncio.run(work())
    assert network.batches == [[0], [2]]


def test_stop_answers_what_was_submitted_and_takes_no_more() -> None:
    network = Network()

    async def work() -> None:
        batcher = Batcher(network, size=1, seconds=3600, coming=lambda: 1)
        batcher.start()
        tasks = [asyncio.create_task(batcher.submit(item)) for item in range(5)]
        while batcher.depth < 4:
            await asyncio.sleep(0)
        await batcher.stop()
        assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 8]
        with pytest.raises(RuntimeError, match="not running"):
            await batcher.submit(9)

    asyncio.run(work())
