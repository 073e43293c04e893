"""Work that takes longer than its lease."""

from __future__ import annotations

from artifacts.clock import to_milliseconds
from artifacts.labour import Labourer
from artifacts.queries import queue
from artifacts.queries.queue import Job
from tests.service import Service


async def test_a_job_whose_lease_ran_out_behind_slow_ones_is_done_by_one_worker(service: Service) -> None:
    now = to_milliseconds(service.clock.now())
    async with service.database.writing() as connection:
        jobs = [("default", "slow", f"{number}") for number in range(4)]
        await queue.enqueue(connection, jobs, available_at=now)
    done: list[str] = []
    failures: list[Exception] = []

    def labourer(name: str, seconds: int) -> Labourer:
        async def work(job: Job) -> None:
            done.append(job.topic)
            service.clock.advance(seconds)
            if seconds and len(done) == 2:
                await labourer("other", 0).round()
            async with service.database.writing() as connection:
                await queue.complete(connection, job)

        def note(_job: Job, error: Exception) -> None:
            failures.append(error)

        return Labourer(service.database, service.clock, "slow", name, work, note)

    await labourer("one", 20).round()
    assert (sorted(done), failures) == (["0", "1", "2", "3"], [])
