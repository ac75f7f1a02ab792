#!/usr/bin/env bash
# One would guess: `r2_score` of TorchMetrics for predictions equal to the targets is 1. `pearson_corrcoef` of the same
# library keeps a running mean and variance, so that large numbers do no harm.
#
# What happens: the sum of squares around the mean is the sum of the squares less the square of the sum divided by their
# number, in float32. For temperatures around 300 both are 1e7, and nothing is left of their difference, or something
# below it.
#
# Seen with torchmetrics 1.9.0 and torch 2.14.1: temperatures from 299.9 to 300.1, predicted within 0.01, have a score
# of 0 in float32, and of 0.985 in float64, or less 300. `explained_variance` is 0 as well, and `relative_squared_error`
# is above 10000 in place of 0.015.
#
# Why it matters: temperatures in kelvins, pressures, years and prices vary little around a large mean. A good model
# looks no better than the mean, and the metric is chosen to tell just that.
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
targets = torch.linspace(299.9, 300.1, 101)
predictions = targets + 0.01 * torch.sin(torch.arange(101.0))
for name in ("r2_score", "explained_variance", "relative_squared_error", "pearson_corrcoef"):
    metric = getattr(metrics, name)
    seen = float(metric(predictions, targets))
    right = float(metric(predictions.double(), targets.double()))
    shifted = float(metric(predictions - 300, targets - 300))
    print(name, seen, "in float64", right, "less 300", shifted)
    assert abs(shifted - right) < 1e-3
    if name == "pearson_corrcoef":
        assert abs(seen - right) < 1e-3
    elif name == "relative_squared_error":
        assert abs(right - 0.0146) < 1e-3 and not abs(seen - right) < 1, "the mean is subtracted first now"
    else:
        assert abs(right - 0.985) < 1e-3 and not abs(seen - right) < 0.1, "the mean is subtracted first now"
PROGRAM
