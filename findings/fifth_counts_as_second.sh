#!/usr/bin/env bash
# One would guess: `jax.lax.approx_min_k` may miss some of the k, as the name says, but on the CPU, where it sorts, it
# gives the best, and a NaN elsewhere changes nothing about the others.
#
# What happens: the comparison, which says that NaN is neither smaller nor larger than a number, is handed to a sort.
# This one leaves the numbers before and behind a NaN in their order.
#
# Seen with jax 0.10.2 on the CPU: the two smallest of [5, NaN, 1, 2, 4, 3] are 1 and 5, with a recall_target of 1.
# Without the NaN they are 1 and 2, and `sort` begins with 1 and 2 in both cases.
#
# Why it matters: the function is for the search of nearest neighbours by distances. One embedding with a NaN makes a
# far point the second nearest, for queries that have nothing to do with it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 numpy==2.4.6

JAX_PLATFORMS=cpu "$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import jax
import jax.numpy as jnp

distances = jnp.array([5, jnp.nan, 1, 2, 4, 3])
nearest, places = jax.lax.approx_min_k(distances, 2, recall_target=1.0)
without, _ = jax.lax.approx_min_k(distances[jnp.array([0, 2, 3, 4, 5])], 2, recall_target=1.0)
print(nearest, places, without, jnp.sort(distances))
assert without.tolist() == [1, 2] and jnp.sort(distances)[:2].tolist() == [1, 2]
assert nearest.tolist() == [1, 5], "the two smallest are right now"
PROGRAM
