#!/usr/bin/env bash
# One would guess: a model of PyTorch that pnnx converts computes powers as PyTorch does: (-2)**3 is -8, and the root of 0,
# written as a power of 0.5, is 0.
#
# What happens: ncnn computes four and more numbers at once by exp(exponent * log(base)), whose logarithm is made for
# positive bases only: of 0 and of negative numbers it is NaN, and the exponential makes 2.4e38 of that. The one to three
# numbers that are left over are computed alone, and right. Squares have an operator of their own.
#
# Seen with ncnn 1.0.20261020 and pnnx 20261020 on the CPU: of [-2, 0, 2, 3, -2], the cubes are [2.4e38, 2.4e38, 8, 27, -8],
# and the roots of [0, 1, 4, 9] are [2.4e38, 1, 2, 3].
#
# Why it matters: cubes stand in the usual approximation of GELU, and roots in norms, behind a ReLU with many zeros. A test
# with a tensor of three numbers passes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.14.1 ncnn==1.0.20261020 pnnx==20261020 numpy==2.4.6
cd "$folder"

"$folder/venv/bin/python" -W ignore - > "$folder/log" 2>&1 <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import ncnn
import numpy as np
import pnnx
import torch


class Power(torch.nn.Module):
    def __init__(self, exponent):
        super().__init__()
        self.exponent = exponent

    def forward(self, x):
        return torch.pow(x, self.exponent)


def converted(exponent, numbers):
    pnnx.export(Power(exponent).eval(), "power.pt", torch.ones(1, 1, 1, len(numbers)))
    net = ncnn.Net()
    assert net.load_param("power.ncnn.param") == 0 and net.load_model("power.ncnn.bin") == 0
    extractor = net.create_extractor()
    extractor.input("in0", ncnn.Mat(np.array([[numbers]], np.float32)).clone())
    return np.array(extractor.extract("out0")[1]).ravel()


five, three = converted(3.0, [-2, 0, 2, 3, -2]), converted(3.0, [-2, 0, 2])
roots, squares = converted(0.5, [0, 1, 4, 9]), converted(2.0, [-2, 0, 2, 3])
print("SEEN cubes of [-2, 0, 2, 3, -2]", five, "of [-2, 0, 2]", three)
print("SEEN roots of [0, 1, 4, 9]", roots, "squares", squares)
np.testing.assert_allclose(three, [-8, 0, 8], rtol=1e-4)
np.testing.assert_allclose(squares, [4, 0, 4, 9], rtol=1e-4)
np.testing.assert_allclose(five[2:], [8, 27, -8], rtol=1e-4)
np.testing.assert_allclose(roots[1:], [1, 2, 3], rtol=1e-4)
assert min(five[0], five[1], roots[0]) > 1e38, "powers of 0 and of negative numbers are right now"
PROGRAM
grep SEEN "$folder/log"
