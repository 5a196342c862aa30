"""Dynamic batching: requests that come at the same time share forward passes.

One forward pass runs at a time. While it does, what arrives waits, and goes together into the next.
A picture that finds the network idle goes at once, unless others are known to be on their way
(being decoded): then it waits for them, but no longer than a small deadline. So a lone client pays
nothing for batching, and many clients get full batches.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Collects items of concurrent tasks and hands them to ``run``, which knows only batches."""

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        size: int,
        seconds: float,
        coming: Callable[[], int] = lambda: 0,
        observe: Callable[[int], None] = lambda _: None,
    ) -> None:
        """``run`` is called in a thread of its own, with at most ``size`` items.

        ``seconds`` is how long the first item of a batch may wait for those that ``coming``
        counts; ``observe`` is told the size of each batch.
        """
        self._run, self._size, self._seconds = run, size, seconds
        self._coming, self._observe = coming, observe
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._changed = asyncio.Event()
        self._stopping = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="server-forward")
        self._task: asyncio.Task[None] | None = None

    @property
    def depth(self) -> int:
        """Items that wait for their batch."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to work; needs a running loop."""
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Answer what was submitted, then end."""
        self._stopping = True
        self._changed.set()
        if self._task is not None:
            await self._task
        self._pool.shutdown()

    async def submit(self, item: Item) -> Result:
        """Give ``item`` to the next batch and return its result, or raise what ``run`` raised."""
        if self._stopping or self._task is None:
            raise RuntimeError("the batcher is not running")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._changed.set()
        return await future

    def nudge(self) -> None:
        """Look again at ``coming``: what was on its way may have failed and will not come."""
        self._changed.set()

    async def _work(self) -> None:
        while not (self._stopping and not self._waiting):
            if not self._waiting:
                self._changed.clear()
                await self._changed.wait()
                continue
            await self._gather()
            batch = [self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))]
            # A client that went away no longer wants its answer.
            await self._answer([(item, future) for item, future in batch if not future.done()])

    async def _gather(self) -> None:
        """Wait until the batch is full, nothing more is coming, or the deadline is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._seconds
        while len(self._waiting) < self._size and self._coming() and not self._stopping:
            left = deadline - loop.time()
            if left <= 0:
                return
            self._changed.clear()
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                return

    async def _answer(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        if not batch:
            return
        self._observe(len(batch))
        items = [item for item, _ in batch]
        loop = asyncio.get_running_loop()
        try:
            results = await loop.run_in_executor(self._pool, self._run, items)
        except Exception as error:  # whoever waits gets it, whatever it is
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
