#!/usr/bin/env bash
# One would guess: a model that onnxslim has simplified loads wherever the model loaded.
#
# What happens: a Constant that gives its number by the attribute `value_float` becomes a float64 tensor. The operators
# that read it then have one float32 and one float64 input, and onnxruntime refuses the model.
#
# Seen with onnxslim 0.1.98 and onnxruntime 1.32.0: "Type parameter (T) of Optype (Mul) bound to different types
# (tensor(float) and tensor(double)". The same number by the attribute `value` stays float32.
#
# Why it matters: onnx's text format and onnxscript let an author write scalars so, and the tool reports success.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnxslim==0.1.98 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$folder/venv/bin/python" - <<'PROGRAM'
import numpy as np
import onnxruntime
import onnxslim
from onnx import TensorProto, checker, parser


def simplified(constant):
    text = f"""
    <ir_version: 10, opset_import: ["": 21]>
    doubled (float[2] x) => (float[2] y) {{ two = Constant <{constant}> () y = Mul (x, two) }}
    """
    model = parser.parse_model(text)
    checker.check_model(model, full_check=True)
    x = np.array([1, 3], np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": x})[0].tolist() == [2, 6]
    slim = onnxslim.slim(model)
    kinds = {tensor.data_type for tensor in slim.graph.initializer}
    kinds |= {attribute.t.data_type for node in slim.graph.node for attribute in node.attribute if attribute.HasField("t")}
    try:
        onnxruntime.InferenceSession(slim.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:
        return kinds, str(error)
    return kinds, "loads"


by_tensor, by_float = simplified("value = float {2.0}"), simplified("value_float = 2.0")
print(by_tensor, by_float, sep="\n")
assert by_tensor == ({TensorProto.FLOAT}, "loads")
assert by_float[0] == {TensorProto.DOUBLE} and "tensor(double)" in by_float[1], "value_float stays float32 now"
PROGRAM
