#!/usr/bin/env bash
# One would guess: the reciprocal of infinity is 0, that of 0 is infinity, and the logarithm of 0 is minus infinity, as IEEE 754
# and C have it, in every runtime for floating-point numbers.
#
# What happens: ncnn improves an estimate of the reciprocal by a step of Newton's method, in which infinity times 0 is NaN.
# Its logarithm and its arc tangent, which divides, know no infinity either.
#
# Seen with ncnn 1.0.20261020 on x86-64: 1 / infinity, 1 / 0, log(0) and atan(infinity) are NaN; log(infinity) is 88.7, and
# tanh(NaN) is -1.
#
# Why it matters: masks are infinite, and their reciprocal is 0 by design; and a NaN that comes from elsewhere disappears in the
# next tanh.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ncnn==1.0.20261020 numpy==2.4.6

cd "$folder"
"$folder/venv/bin/python" - <<'PROGRAM'
import ncnn
import numpy as np

CODES = {"log": 8, "atan": 14, "reciprocal": 15, "tanh": 16}  # https://github.com/Tencent/ncnn/wiki/operators#unaryop


def result(function, number):
    with open("unary.param", "w") as file:
        file.write(f"7767517\n2 2\nInput x 0 1 x\nUnaryOp unary 1 1 x y 0={CODES[function]}\n")
    open("unary.bin", "wb").close()
    net = ncnn.Net()
    net.opt.num_threads = 1
    assert net.load_param("unary.param") == 0
    net.load_model("unary.bin")
    extractor = net.create_extractor()
    extractor.input("x", ncnn.Mat(np.full(8, number, np.float32)).clone())
    return float(np.array(extractor.extract("y")[1])[0])


cases = [("reciprocal", np.inf), ("reciprocal", 0), ("log", 0), ("atan", np.inf), ("log", np.inf), ("tanh", np.nan)]
seen = {(function, number): result(function, number) for function, number in cases}
print(seen)
assert abs(result("reciprocal", 4) - 0.25) < 1e-4 and abs(result("log", 1)) < 1e-6 and abs(result("tanh", 30) - 1) < 1e-6
assert all(np.isnan(seen[case]) for case in cases[:4]), "infinity and 0 have a reciprocal and a logarithm now"
assert 88 < seen["log", np.inf] < 89, "the logarithm of infinity is infinite now"
assert seen["tanh", np.nan] == -1, "NaN stays NaN now"
PROGRAM
