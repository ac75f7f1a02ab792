#!/usr/bin/env bash
# One would guess: an item that was sent to a memory object stream of anyio is received by somebody, or stays in the buffer.
#
# What happens: `send_nowait` hands the item to a task that waits in `receive`. If a plain `Task.cancel()` comes before that
# task runs again, `receive` raises CancelledError, and the item is gone.
#
# Seen with anyio 4.16.0 on asyncio: of one item sent, none is received, and the buffer is empty. A queue of asyncio keeps its
# item in the same case, and so does the stream if a cancel scope of anyio cancels.
#
# Why it matters: asyncio.wait_for, asyncio.timeout and most frameworks cancel tasks in this way. A request or a frame
# disappears in one of many thousand cases, when a timeout and an item meet.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check anyio==4.16.0

"$folder/venv/bin/python" - <<'PROGRAM'
import asyncio

import anyio


async def received(take, put, cancel):
    """What a task has taken that waits while something is put, and is cancelled right after that."""
    taken = []

    async def receive():
        taken.append(await take())

    task = asyncio.create_task(receive())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    put("item")
    cancel(task)
    await asyncio.wait([task])
    return taken


async def main():
    queue = asyncio.Queue()
    from_queue = await received(queue.get, queue.put_nowait, asyncio.Task.cancel)
    from_queue += [queue.get_nowait() for _ in range(queue.qsize())]

    send, receive = anyio.create_memory_object_stream(10)
    from_stream = await received(receive.receive, send.send_nowait, asyncio.Task.cancel)
    from_stream += [receive.receive_nowait() for _ in range(receive.statistics().current_buffer_used)]

    scope = anyio.CancelScope()

    async def in_scope():
        with scope:
            return await receive.receive()

    from_scope = await received(in_scope, send.send_nowait, lambda task: scope.cancel())
    from_scope += [receive.receive_nowait() for _ in range(receive.statistics().current_buffer_used)]
    return from_queue, from_stream, from_scope


queue, stream, scope = asyncio.run(main())
print(f"received from a queue: {queue}, from a stream: {stream}, from a stream in a scope: {scope}")
assert queue == ["item"] and scope == ["item"]
assert stream == [], "the item is not lost now"
PROGRAM
