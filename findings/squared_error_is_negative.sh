#!/usr/bin/env bash
# One would guess: `mean_squared_error` and the other errors of TorchMetrics take images in uint8 or int8 for the
# numbers they are, or refuse them, as `r2_score` and `pearson_corrcoef` do.
#
# What happens: differences and their squares are computed in eight bits and wrap around. Only their sum has more.
#
# Seen with torchmetrics 1.9.0 and torch 2.14.1: of [200, 100, 0, 50] and [100, 200, 10, 50] the mean squared error is
# 33 in uint8 and 5025 in float32, the mean absolute error 125.5 and 52.5, and the mean absolute percentage error 6.6
# and 0.625. For half of these numbers in int8 the mean squared error is -23.75 in place of 1256.25.
#
# Why it matters: reconstructed images and quantized outputs are compared as they come, in bytes. A larger error may
# give a smaller number, and the best model is chosen by it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchmetrics==1.9.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import torch
import torchmetrics
import torchmetrics.functional as metrics

print("torchmetrics", torchmetrics.__version__)
first, second = torch.tensor([200, 100, 0, 50]), torch.tensor([100, 200, 10, 50])
seen = {}
for name, data_type, part in (
    ("mean_squared_error", torch.uint8, 1),
    ("mean_absolute_error", torch.uint8, 1),
    ("mean_absolute_percentage_error", torch.uint8, 1),
    ("mean_squared_error", torch.int8, 2),
):
    metric, pair = getattr(metrics, name), (first // part, second // part)
    in_bytes = round(float(metric(*(x.to(data_type) for x in pair))), 2)
    in_floats = round(float(metric(*(x.float() for x in pair))), 3)
    in_ints = round(float(metric(*(x.to(torch.int32) for x in pair))), 3)
    print(name, data_type, in_bytes, "in float32", in_floats)
    assert in_ints == in_floats
    seen[name, data_type] = in_bytes, in_floats
assert list(seen.values()) == [(33, 5025), (125.5, 52.5), (6.6, 0.625), (-23.75, 1256.25)], "errors have more bits now"
try:
    metrics.r2_score(first.to(torch.uint8), second.to(torch.uint8))
except RuntimeError as error:
    print("r2_score:", error)
PROGRAM
