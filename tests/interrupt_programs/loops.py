"""Programs on event loops."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import trio

from tests.interrupt_programs.base import Base
from webnn.scheduler.bridge import current_bridge, current_task
from webnn.scheduler.promise import Promise, resolve
from webnn.scheduler.ready import PROBE, PROMPT, PROMPT_LIMIT

__all__ = ["Loops"]


class Loops(Base):
    async def tasks(self) -> None:
        rig = self.rig
        for _ in range(2):
            rig.write(self.x, 2)
            await rig.dispatch(self.cheap, [self.x], self.y)
            await self.keep(rig.read(self.y))
        handle = rig.dispatch(self.cheap, [self.x], self.y)
        self.keep(rig.read(self.y)).add_done_callback(self.told.append)
        self.keep(rig.read(self.x)).add_done_callback(self.told.append)
        self.keep(handle.finished())
        bridge = current_bridge()
        assert bridge is not None
        assert current_task() is not None
        list_of_one: list[Promise[Any]] = [Promise()]
        self.keep(list_of_one[0])

        async def settle() -> None:
            try:
                resolve(list_of_one[0], None)
            finally:  # asyncio only remembers what a task raises, and the test waits for this
                resolve(list_of_one[0], None)

        cancel = bridge.spawn(settle)
        try:
            await list_of_one[0]
        finally:
            cancel()
            resolve(list_of_one[0], None)
        rig.clock.now += 10_000_000
        await rig.dispatch(self.cheap, [self.x], self.y)
        await self.keep(rig.read(self.y))

    def on_asyncio(self) -> None:
        asyncio.run(self.tasks())

    def on_trio(self) -> None:
        trio.run(self.tasks)

    def dropped_tick(self) -> None:
        loop = asyncio.new_event_loop()

        async def leave() -> None:
            try:
                self.rig.dispatch(self.cheap, [self.x], self.y)
                self.keep(self.rig.read(self.y)).add_done_callback(self.told.append)
            finally:
                loop.stop()

        task = loop.create_task(leave())
        try:
            loop.run_forever()
        finally:
            loop.close()
            del task
        self.rig.run_all()

    async def crowd(self) -> None:
        """Many cheap dispatches, awaited in a tick that has become long."""
        rig = self.rig
        names = [rig.name() for _ in range(20)]
        for name in names:
            handle = rig.dispatch(self.cheap, [self.x], name)
        repr(handle)
        await handle
        rig.clock.now += 10_000_000
        rig.timeline.inline.breath_due(look=True)
        await rig.dispatch(self.cheap, [self.x], self.y)
        rig.dispatch(self.cheap, [self.y], self.z)
        await self.keep(rig.read(self.z))

    def on_asyncio_given_up(self) -> None:
        rig = self.rig

        async def wait(promise: Promise[Any]) -> None:
            await promise

        async def main() -> None:
            rig.dispatch(self.dear, [self.x], self.y)
            task = asyncio.ensure_future(wait(self.keep(rig.read(self.y))))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.crowd()

        asyncio.run(main())

    def on_trio_given_up(self) -> None:
        rig = self.rig

        async def main() -> None:
            rig.dispatch(self.dear, [self.x], self.y)
            with trio.move_on_after(0):
                await self.keep(rig.read(self.y))
            await self.crowd()

        trio.run(main)

    def on_asyncio_woken(self) -> None:
        """A task waits for a lane, which runs on the thread of its event loop and then on another one."""
        rig = self.rig

        async def wait(promise: Promise[Any]) -> None:
            await promise

        async def main() -> None:
            for here in (True, False):
                rig.dispatch(self.dear, [self.x], self.y)
                task = asyncio.ensure_future(wait(self.keep(rig.read(self.y))))
                await asyncio.sleep(0)
                if here:
                    rig.run_all()
                else:
                    thread = threading.Thread(target=rig.run_all)
                    thread.start()
                    thread.join()
                await task

        asyncio.run(main())

    def on_asyncio_lone(self) -> None:
        """The only task of an event loop runs itself what takes milliseconds, unless there is something else to do."""
        rig = self.rig
        work = rig.work("long", cost=PROMPT_LIMIT, nanoseconds=2 * PROMPT_LIMIT, measured=False)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            for busy in (lambda: None, lambda: loop.call_soon(len, ()), lambda: loop.call_later(1e-4, len, ())):
                work.prompt = PROBE - 1
                busy()
                rig.dispatch(work, [self.x], self.y)
                read = self.keep(rig.read(self.y))
                await read
                await asyncio.sleep(0)
            await asyncio.sleep(1e-3)
            for ask in (True, False):
                work.prompt = PROMPT
                rig.dispatch(work, [self.x], self.y)
                read = self.keep(rig.read(self.y))
                if ask:
                    read.done()
                else:
                    await asyncio.sleep(0)
                await read

        asyncio.run(main())
        work.prompt = PROMPT
        rig.dispatch(work, [self.x], self.y)
