#!/usr/bin/env bash
# One would guess: `mean_horizontal` of polars, whose result is float64, is the mean of the columns in each row, as `mean` is
# that of the rows in each column.
#
# What happens: it adds the columns up in their own type, where the sum wraps around, and divides then. The mean of a
# column, of a list and of a group is taken in more bits. A cast of one column helps.
#
# Seen with polars 2.1.0: the mean of 200 and 200 in uint8 is 72, that of 100 and 100 in int8 is -28, and that of 2000000000
# twice in int32 is -147483648. As a column, a list or a group, the same numbers have the right mean.
#
# Why it matters: channels of a pixel, votes of models and readings of sensors stand side by side in columns. The mean
# of bytes stays between 0 and 255, and nobody sees the fault.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import polars as pl

seen = {}
for data_type, number in ((pl.UInt8, 200), (pl.Int8, 100), (pl.Int32, 2_000_000_000), (pl.Float32, 200)):
    pair = pl.Series("pair", [number, number], dtype=data_type)
    row = pl.DataFrame({"a": [number], "b": [number]}, schema={"a": data_type, "b": data_type})
    one_cast = row.select(pl.mean_horizontal(pl.col("a").cast(pl.Int64), "b"))
    right = {
        "column": pair.mean(),
        "list": pair.implode().list.mean().item(),
        "group": pair.to_frame().group_by(pl.lit(1)).agg(pl.col("pair").mean())["pair"].item(),
        "one cast": one_cast.item(),
    }
    seen[data_type] = row.mean_horizontal().item()
    print(data_type, right, seen[data_type])
    assert set(right.values()) == {number}
assert seen.pop(pl.Float32) == 200
assert list(seen.values()) == [72, -28, -147483648], "the columns are added up in more bits now"
PROGRAM
