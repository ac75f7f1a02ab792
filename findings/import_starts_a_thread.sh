#!/usr/bin/env bash
# One would guess: importing onnxruntime, without making a session, starts no thread.
#
# What happens: the import starts a thread that lives as long as the process. It belongs to the telemetry, and
# ORT_DISABLE_TELEMETRY=1 in the environment before the import keeps it away.
#
# Seen with onnxruntime 1.32.0 (numpy imported before): one thread more, and none with the variable set.
#
# Why it matters: a process with threads is not one to fork, as Python 3.12 and later warn. A server that loads its
# application before its workers start has the thread by a mere import.
set -euo pipefail

if [ ! -d /proc/self/task ]; then
    echo "needs Linux, which lists the threads of a process" >&2
    exit 2
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 numpy==2.4.6

cat >"$folder/count.py" <<'PROGRAM'
import os

import numpy

before = len(os.listdir("/proc/self/task"))
import onnxruntime

print(len(os.listdir("/proc/self/task")) - before)
PROGRAM
plain=$(env -u ORT_DISABLE_TELEMETRY "$folder/venv/bin/python" "$folder/count.py")
without=$(ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" "$folder/count.py")
echo "threads that the import starts: $plain, without telemetry: $without"
[ "$plain" -ge 1 ] && [ "$without" -eq 0 ] || { echo "the import starts no thread now, or another one" >&2; exit 1; }
