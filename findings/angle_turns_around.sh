#!/usr/bin/env bash
# One would guess: the exported `atan2` gives PyTorch's angles, as ONNX, which has only Atan, can express them.
#
# What happens: the exporter takes the angle of a zero to the left of the origin for that of a negative number, whatever the
# sign of the zero: it asks whether y is above 0, and takes -pi otherwise.
#
# Seen with torch 2.14.1, onnxscript 0.7.2 and onnxruntime 1.32.0: atan2(0, -1) is 3.14 in PyTorch and NumPy, and -3.14 in the
# exported model. jax2onnx 0.17.1 errs in the other direction: atan2(-0, -1) is -3.14 in JAX, and 3.14 in the exported model.
#
# Why it matters: zeros are common in gradients, flow fields and boxes without rotation. The angle is off by a full turn, and
# every difference of angles with it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.14.1 onnxscript==0.7.2 jax==0.10.2 jax2onnx==0.17.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - 2> "$folder/log" <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import io

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import torch
from jax2onnx import to_onnx

y, x = np.float32([0, -0.0, 1]), np.float32([-1, -1, -1])
expected = np.arctan2(y, x)


class Angle(torch.nn.Module):
    """The angle of (x, y)."""

    def forward(self, y, x):
        return torch.atan2(y, x)


def run(model):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip([value.name for value in session.get_inputs()], (y, x))))[0]


file = io.BytesIO()
tensors = (torch.from_numpy(y), torch.from_numpy(x))
torch.onnx.export(Angle().eval(), tensors, dynamo=True, verbose=False).save(file)
shape = jax.ShapeDtypeStruct((3,), np.float32)
angles = {
    "PyTorch": Angle()(*tensors).numpy(),
    "exported by PyTorch": run(file.getvalue()),
    "JAX": np.asarray(jnp.arctan2(y, x)),
    "exported by jax2onnx": run(to_onnx(jnp.arctan2, [shape, shape]).SerializeToString()),
}
print({name: angle.round(2).tolist() for name, angle in angles.items()})
for name in ("PyTorch", "JAX"):
    np.testing.assert_allclose(angles[name], expected, rtol=1e-6)
for name, wrong in (("exported by PyTorch", 0), ("exported by jax2onnx", 1)):
    off = ~np.isclose(angles[name], expected, rtol=1e-6)
    assert off.tolist() == [place == wrong for place in range(3)], f"{name}: the angles are others now"
PROGRAM
