"""Clients: whose turn it is, and whether they still wait."""

import asyncio
import itertools
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, Final, TypeVar

from fastapi import Request

from tumorlens.isolation.turns import Turn
from tumorlens.server.problems import Problem

Result = TypeVar("Result")
_numbers: Final = itertools.count()


def turn_of(request: Request) -> Turn:
    """The turn of a request's work: its client (address and token), and its own number."""
    host = request.client.host if request.client else ""
    return (host, request.headers.get("authorization", "")), next(_numbers)


async def unless_gone(request: Request, working: Coroutine[Any, Any, Result]) -> Result:
    """The result of ``working``, which is cancelled where the client leaves first.

    To be called when the body has been read.
    """
    work = asyncio.ensure_future(working)
    leaving = asyncio.ensure_future(_leaving(request))
    try:
        await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise gone()
        return work.result()
    finally:
        work.cancel()
        leaving.cancel()
        await asyncio.gather(work, leaving, return_exceptions=True)


def gone() -> Problem:
    """The client has left: nobody will read this."""
    return Problem(HTTPStatus.BAD_REQUEST, "gone", "the client did not wait for its answer")


async def _leaving(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
