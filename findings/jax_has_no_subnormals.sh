#!/usr/bin/env bash
# One would guess: JAX computes float32 on the CPU with all float32 numbers, as NumPy does on the same processor.
#
# What happens: numbers below 1.2e-38 are taken for 0 and given as 0. A logarithm of such a number is -infinity, and
# doubling it gives 0, although the array that holds it prints it.
#
# Seen with jax 0.10.2 on the CPU: for 1e-40, `x * 2` is 0, `jnp.log(x)` is -infinity (NumPy: -92.10), `jnp.sqrt(x)` is 0
# (NumPy: 1e-20), and `jnp.exp(-88)` is 0 (NumPy: 6.05e-39). `x > 0` is False.
#
# Why it matters: sqrt and log bring such numbers back into the ordinary range, so the difference to NumPy and
# onnxruntime is not small. A test that compares the three needs inputs above 1.2e-38, or an absolute tolerance.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6

JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PROGRAM'
import jax.numpy as jnp
import numpy as np

x = np.array([1e-40], np.float32)
held = jnp.asarray(x)
seen = [float(value[0]) for value in (held * 2, jnp.log(held), jnp.sqrt(held), jnp.exp(jnp.array([-88.0])), held > 0)]
wanted = [float(value[0]) for value in (x * 2, np.log(x), np.sqrt(x), np.exp(np.array([-88], np.float32)), x > 0)]
print(held, seen, wanted)
assert np.asarray(held)[0] == x[0] > 0
assert wanted[1] > -93 and wanted[2] > 9e-21 and wanted[3] > 6e-39 and wanted[4] == 1
assert seen == [0, -np.inf, 0, 0, 0], "JAX computes with subnormal numbers now"
PROGRAM
