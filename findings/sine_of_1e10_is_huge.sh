#!/usr/bin/env bash
# One would guess: sin and cos lie between -1 and 1 for every finite number, and sin(-x) is -sin(x).
#
# What happens: compiled by IREE for the CPU, both leave that range from about 1e9 on, and grow without bound. The digits
# are lost long before. For small negative numbers sin has the wrong sign.
#
# Seen with iree-base-compiler and iree-base-runtime 3.13.0 (target llvm-cpu): sin(1e10) is -6.0e21 and cos(1e10)
# -1.3e20; sin(1e15) is -infinity; sin(1e7) is 0.654 instead of 0.421; sin(-1e-8) is 6.2e-8.
#
# Why it matters: positional encodings and phases of audio (time x frequency) reach large arguments; one such value
# makes a whole network infinite. NumPy, JAX and onnxruntime are right for all of these.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    iree-base-compiler==3.13.0 iree-base-runtime==3.13.0 onnx==1.23.2 numpy==2.4.6

cd "$folder"
PATH="$folder/venv/bin:$PATH" python - <<'PROGRAM'
import subprocess

import iree.runtime as iree
import numpy as np
import onnx

text = """
<ir_version: 10, opset_import: ["": 21]>
waves (float[5] x) => (float[5] sine, float[5] cosine) { sine = Sin (x)  cosine = Cos (x) }
"""
model = onnx.parser.parse_model(text)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "waves.onnx")
subprocess.run(["iree-import-onnx", "waves.onnx", "-o", "waves.mlir"], check=True)
options = ["--iree-hal-target-backends=llvm-cpu", "--iree-llvmcpu-target-cpu=host"]
subprocess.run(["iree-compile", "waves.mlir", *options, "-o", "waves.vmfb"], check=True)
context = iree.SystemContext(config=iree.Config("local-sync"))
module = iree.VmModule.copy_buffer(context.instance, open("waves.vmfb", "rb").read())
context.add_vm_module(module)

x = np.array([100, 1e7, 1e10, 1e15, -1e-8], np.float32)
sine, cosine = (np.asarray(y.to_host()) for y in context.modules[module.name].waves(x))
print(sine, np.sin(x.astype(np.float64)), sep="\n")
print(cosine, np.cos(x.astype(np.float64)), sep="\n")
np.testing.assert_allclose([sine[0], cosine[0]], [-0.50637, 0.86232], rtol=1e-4)
assert abs(sine[1] - 0.42055) > 0.1, "sin(1e7) is right now"
assert abs(sine[2]) > 1e9 and abs(cosine[2]) > 1e9 and np.isinf(sine[3]), "large arguments are right now"
assert sine[4] > 0, "sin of small negative numbers is negative now"
PROGRAM
