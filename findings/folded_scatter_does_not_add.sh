#!/usr/bin/env bash
# One would guess: a `scatter_along_axis` whose inputs are constants, folded during conversion, has the value that it has at run
# time.
#
# What happens: coremltools' folding puts the updates in their places in all modes. The modes "add", "mul" and "max" are lost.
#
# Seen with coremltools 9.0: [8, 8, 8] with 2 and 4 added at place 1, and 2 at place 0, is saved as the constant [2, 4, 8]. The
# description of the mode says [10, 14, 8]. If one of the three is an input, the operation is saved with its mode.
#
# Why it matters: tables, such as those of relative positions or of neighbours, are computed from constants in many networks.
# The package has other numbers than the network, on every device, without a warning.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check coremltools==9.0 numpy==2.4.6

"$folder/venv/bin/python" - 2> "$folder/log" <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import coremltools
import numpy as np
from coremltools.converters.mil.mil import Builder, types

data, places, updates = np.float32([8, 8, 8]), np.int32([1, 1, 0]), np.float32([2, 4, 2])


def saved(mode):
    """The operations of a program that adds its input to a table, and the table if it is a constant."""

    @Builder.program(
        input_specs=[Builder.TensorSpec(shape=(3,), dtype=types.fp32)], opset_version=coremltools.target.iOS17
    )
    def program(x):
        table = Builder.scatter_along_axis(data=data, indices=places, updates=updates, axis=0, mode=mode)
        return Builder.add(x=x, y=table, name="y")

    model = coremltools.convert(
        program,
        convert_to="mlprogram",
        compute_precision=coremltools.precision.FLOAT32,
        minimum_deployment_target=coremltools.target.iOS17,
        skip_model_load=True,
    )
    (block,) = model.get_spec().mlProgram.functions["main"].block_specializations.values()
    assert [operation.type for operation in block.operations] == ["const", "add"]
    return list(block.operations[0].attributes["val"].immediateValue.tensor.floats.values)


tables = {mode: saved(mode) for mode in ("add", "mul", "max", "update")}
print(tables)
expected = data.copy()
np.add.at(expected, places, updates)
assert expected.tolist() == [10, 14, 8]
assert tables["update"] == [2, 4, 8]
assert all(table == [2, 4, 8] for table in tables.values()), "the modes are folded as well now"
PROGRAM
