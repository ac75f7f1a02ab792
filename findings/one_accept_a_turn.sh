#!/usr/bin/env bash
# One would guess: a server of uvloop accepts the connections that wait for it as asyncio's does, up to `backlog` of them
# at once.
#
# What happens: it accepts one in each turn of the event loop. So a client waits for as many turns as there are
# connections before it, each with all the other work of a turn, also for connections whose clients have left.
#
# Seen with uvloop 0.23.0: 20 connections wait; asyncio makes them in 1 turn, uvloop in 20.
#
# Why it matters: uvicorn takes uvloop where it is installed. After a thousand clients that connect and leave, the next one
# waits for a thousand turns. `webnn serve` accepts connections by itself (webnn/serving/server.py).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvloop==0.23.0

cat >"$folder/turns.py" <<'PROGRAM'
import asyncio
import socket
import sys

import uvloop

WAITING = 20


async def main():
    turn, made = 0, []

    class Connection(asyncio.Protocol):
        def connection_made(self, transport):
            made.append(turn)

    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    clients = [socket.create_connection(address) for _ in range(WAITING)]
    while len(made) < WAITING:
        turn += 1
        await asyncio.sleep(0)
    print(len(set(made)))


(asyncio if sys.argv[1] == "asyncio" else uvloop).run(main())
PROGRAM
plain=$("$folder/venv/bin/python" "$folder/turns.py" asyncio)
other=$("$folder/venv/bin/python" "$folder/turns.py" uvloop)
echo "turns of the loop in which 20 waiting connections are made: $plain with asyncio, $other with uvloop"
[ "$plain" -eq 1 ] && [ "$other" -eq 20 ] || { echo "they are made in other turns now" >&2; exit 1; }
