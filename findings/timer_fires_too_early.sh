#!/usr/bin/env bash
# One would guess: `await asyncio.sleep(0.0014)` takes at least 1.4 ms, on every event loop.
#
# What happens: uvloop rounds the delay of a timer to whole milliseconds, to the nearest. A sleep of less than half a
# millisecond returns at once, and one of 1.4 ms after 1 ms. asyncio's own loop rounds up.
#
# Seen with uvloop 0.23.0 on Python 3.11: sleep(0.0004) takes 0.00 ms and sleep(0.0014) 1.08 ms; with asyncio 1.1 and
# 2.1 ms.
#
# Why it matters: a loop that polls every 0.4 ms spins on a whole core, a rate limit lets more through than it should, and
# `time.perf_counter()` after a deadline may say that it has not come yet.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvloop==0.23.0

"$folder/venv/bin/python" - <<'PROGRAM'
import asyncio
import statistics
import time

import uvloop


async def took(delay):
    times = []
    for _ in range(25):
        begin = time.perf_counter()
        await asyncio.sleep(delay)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


async def measured():
    return [await took(delay) for delay in (0.0004, 0.0014)]


ordinary, fast = asyncio.run(measured()), uvloop.run(measured())
print(*(f"{seconds * 1000:.2f} ms" for seconds in (*ordinary, *fast)))
assert ordinary[0] >= 0.0004 and ordinary[1] >= 0.0014
assert fast[0] < 0.0004 and fast[1] < 0.0014, "uvloop's timers wait as long as they are asked to now"
PROGRAM
