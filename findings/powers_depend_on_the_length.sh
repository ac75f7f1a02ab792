#!/usr/bin/env bash
# One would guess: (-2)**2 is 4, and 0**0 is 1, however many of them a tensor has. The last elements of a tensor are computed
# like the others.
#
# What happens: ncnn raises four or more elements at once by exp(y * log(x)), which has no logarithm of 0 and of negative
# numbers, and the up to three others by the C function pow. exp of NaN is 2.4e38.
#
# Seen with ncnn 1.0.20261020 on x86-64: of ten times (-2)**2, the first eight are 2.4e38 and the last two are 4. One (-2)**2
# alone is 4.
#
# Why it matters: squares by a power of 2 are in normalizations and in losses, and their bases are negative half the time. A
# test with a short tensor passes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ncnn==1.0.20261020 numpy==2.4.6

cd "$folder"
"$folder/venv/bin/python" - <<'PROGRAM'
import ncnn
import numpy as np

POW = 6  # https://github.com/Tencent/ncnn/wiki/operators#binaryop


def power(base, exponent, count):
    lines = ["Input x 0 1 x", "Input y 0 1 y", f"BinaryOp power 2 1 x y z 0={POW}"]
    with open("power.param", "w") as file:
        file.write("\n".join(["7767517", "3 3", *lines, ""]))
    open("power.bin", "wb").close()
    net = ncnn.Net()
    net.opt.num_threads = 1
    assert net.load_param("power.param") == 0
    net.load_model("power.bin")
    extractor = net.create_extractor()
    operands = [ncnn.Mat(np.full(count, number, np.float32)).clone() for number in (base, exponent)]
    extractor.input("x", operands[0])
    extractor.input("y", operands[1])
    return np.array(extractor.extract("z")[1])


one, many, zeros, positive = power(-2, 2, 1), power(-2, 2, 10), power(0, 0, 10), power(2, 3, 10)
print(one, many, zeros, positive)
np.testing.assert_allclose(positive, 8, rtol=1e-5)
assert one[0] == 4 and many[-1] == 4 and zeros[-1] == 1
assert (many[:8] > 2e38).all(), "powers of negative numbers are right now"
assert (zeros[:8] > 2e38).all(), "powers of 0 are right now"
PROGRAM
