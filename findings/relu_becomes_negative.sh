#!/usr/bin/env bash
# One would guess: the optimizer of onnxscript may make one `Clip` of two, or of one and a `Relu`, and the result stays the
# same: what comes out of a `Relu` is at least 0.
#
# What happens: it takes the larger of the lower bounds and the smaller of the upper ones. Where the intervals do not
# overlap, the lower bound is then above the upper one, for which ONNX gives the upper one, and the second operator is lost.
#
# Seen with onnxscript 0.7.2 and onnxruntime 1.32.0: `Relu` behind a `Clip` to [-5, -1] gives 0 before and -1 after. A
# `Clip` to [2, 3] behind one to [0, 1] gives 2 before and 1 after. With intervals that overlap both agree.
#
# Why it matters: bounds come from training and calibration, and nobody looks whether they overlap. What follows relies on a
# `Relu`: the root of -1 is NaN.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - 2> "$folder/log" <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import numpy as np
import onnxruntime
from onnx import checker, parser
from onnxscript import optimizer

text = """
<ir_version: 10, opset_import: ["": 20]>
clipped (float[3] x) => (float[3] y)
{
    low = Constant <value = float {LOW}> ()
    high = Constant <value = float {HIGH}> ()
    two = Constant <value = float {2}> ()
    three = Constant <value = float {3}> ()
    first = Clip (x, low, high)
    y = SECOND
}
"""
x = np.array([-7, 0.5, 9], np.float32)


def before_and_after(low, high, second):
    model = parser.parse_model(text.replace("LOW", low).replace("HIGH", high).replace("SECOND", second))
    checker.check_model(model, full_check=True)
    results = []
    for each in (model, optimizer.optimize(model)):
        session = onnxruntime.InferenceSession(each.SerializeToString(), providers=["CPUExecutionProvider"])
        results.append(session.run(None, {"x": x})[0].tolist())
    return results


relu, clip = "Relu (first)", "Clip (first, two, three)"
for low, high, second in (("-5", "-1", relu), ("0", "1", clip), ("-5", "1", relu), ("0", "2.5", clip)):
    before, after = before_and_after(low, high, second)
    print(second, "behind a clip to", [low, high], "before", before, "after", after)
    apart = float(high) < (0 if second == relu else 2)
    if not apart:
        assert before == after
    elif second == relu:
        assert before == [0, 0, 0]
        assert after == [-1, -1, -1], "a Relu is at least 0 now"
    else:
        assert before == [2, 2, 2]
        assert after == [1, 1, 1], "the second Clip counts now"
PROGRAM
