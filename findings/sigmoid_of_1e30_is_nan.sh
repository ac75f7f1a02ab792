#!/usr/bin/env bash
# One would guess: a sigmoid is between 0 and 1. That of 1e30 is 1, as those of 1e20 and of infinity are.
#
# What happens: LiteRT runs LOGISTIC with XNNPACK by default, which gives NaN between about 1e25 and 1e38, on both sides of 0.
# Its EXP gives 0 for NaN. LiteRT's own kernels are right in both cases.
#
# Seen with ai-edge-litert 2.3.0 on x86-64: the sigmoids of [1e20, 1e30, -1e30, infinity] are [1, NaN, NaN, 1], and exp(NaN) is 0.
# Without the delegate: [1, 1, 0, 1], and NaN.
#
# Why it matters: -1e30 is a customary mask, and NaN spreads from one gate over a whole recurrent network. The exponential of
# NaN hides it, as 0.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ai-edge-litert==2.3.0 flatbuffers==25.12.19 numpy==2.4.6

"$folder/venv/bin/python" -W ignore - <<'PROGRAM'
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType


def result(operator, numbers, resolver):
    tensors = [schema.TensorT(), schema.TensorT()]
    for i, tensor in enumerate(tensors):
        tensor.name, tensor.shape, tensor.type, tensor.buffer = f"t{i}", [len(numbers)], schema.TensorType.FLOAT32, 0
    code, node, graph, model = schema.OperatorCodeT(), schema.OperatorT(), schema.SubGraphT(), schema.ModelT()
    code.builtinCode = code.deprecatedBuiltinCode = operator
    code.version = 1
    node.opcodeIndex, node.inputs, node.outputs = 0, [0], [1]
    graph.tensors, graph.inputs, graph.outputs, graph.operators = tensors, [0], [1], [node]
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    interpreter = Interpreter(model_content=bytes(builder.Output()), experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.array(numbers, np.float32))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


numbers, default, kernels = [1e20, 1e30, -1e30, np.inf], OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
sigmoids = result(schema.BuiltinOperator.LOGISTIC, numbers, default)
exponential = result(schema.BuiltinOperator.EXP, [np.nan], default)
print(sigmoids, exponential)
np.testing.assert_array_equal(result(schema.BuiltinOperator.LOGISTIC, numbers, kernels), [1, 1, 0, 1])
assert np.isnan(result(schema.BuiltinOperator.EXP, [np.nan], kernels)).all()
np.testing.assert_array_equal(sigmoids, [1, np.nan, np.nan, 1], "the sigmoid is between 0 and 1 now")
np.testing.assert_array_equal(exponential, [0], "NaN stays NaN now")
PROGRAM
