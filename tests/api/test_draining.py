"""When an api that is told to stop stops taking connections, without a process; tests/api/test_stopping.py has one."""

from __future__ import annotations

import asyncio
import os
import signal

import uvicorn

from api.draining import DrainingServer
from api.stopping import stopped_by_signals, told_already


async def _nothing(*_: object) -> None:
    """An application that is never asked."""


def a_server(told: list[str], *, seconds: float) -> DrainingServer:
    config = uvicorn.Config(_nothing, log_config=None)
    return DrainingServer(
        config, told=lambda: told.append("soon"), seconds=seconds, again=lambda _: told.append("now")
    )


async def test_without_seconds_to_drain_it_takes_no_more_connections_at_once() -> None:
    told: list[str] = []
    server = a_server(told, seconds=0)
    assert not await server.on_tick(1)
    server.handle_exit(signal.SIGTERM, None)
    assert server.should_exit
    assert await server.on_tick(1)
    assert told == ["soon"]


async def test_while_it_drains_it_goes_on_until_it_is_told_again() -> None:
    told: list[str] = []
    server = a_server(told, seconds=600)
    server.handle_exit(signal.SIGTERM, None)
    assert not server.should_exit
    assert not await server.on_tick(1)
    server.handle_exit(signal.SIGTERM, None)
    assert told == ["soon", "now"]


async def test_a_loop_is_told_once_to_stop_and_whoever_wants_to_know_hears_of_the_second_time() -> None:
    loop, again = asyncio.get_running_loop(), asyncio.Event()
    stop = stopped_by_signals(lambda _: again.set())
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stop.wait(), 10)
        assert not again.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(again.wait(), 10)
        told_already(signal.SIGTERM)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
