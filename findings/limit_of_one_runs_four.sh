#!/usr/bin/env bash
# One would guess: `anyio.to_thread.run_sync(..., limiter=CapacityLimiter(1))` never has two functions running.
#
# What happens: with abandon_on_cancel=True, a call that is cancelled gives its token back at once, while its thread goes on.
# The next call starts another thread.
#
# Seen with anyio 4.16.0: after four calls with a timeout of 0.05 s, four functions of 0.5 s run side by side under a limit of
# 1, and the limiter says that none of its tokens is borrowed.
#
# Why it matters: a server that runs a model in threads uses the limit to protect cores and memory, and timeouts to protect
# its clients. When it is slow, all requests time out, and each leaves a run behind: the more load, the more runs at once.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check anyio==4.16.0

"$folder/venv/bin/python" - <<'PROGRAM'
import threading
import time

import anyio

lock = threading.Lock()
running = most = 0


def work():
    global running, most
    with lock:
        running += 1
        most = max(most, running)
    time.sleep(0.5)
    with lock:
        running -= 1


async def main(abandon_on_cancel):
    global most
    most = 0
    limiter = anyio.CapacityLimiter(1)
    for _ in range(4):
        with anyio.move_on_after(0.05):
            await anyio.to_thread.run_sync(work, limiter=limiter, abandon_on_cancel=abandon_on_cancel)
    borrowed = limiter.borrowed_tokens
    await anyio.sleep(0.6)
    return most, borrowed


kept, abandoned = anyio.run(main, False), anyio.run(main, True)
print(f"at once, and tokens borrowed at the end: {kept} without abandoning, {abandoned} with it")
assert kept == (1, 0)
assert abandoned[0] > 1 and abandoned[1] == 0, "an abandoned thread keeps its token now"
PROGRAM
