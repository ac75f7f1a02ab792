#!/usr/bin/env bash
# One would guess: coremltools' `convert` with the empty pass pipeline, in float32, saves the operations of the program
# that it is given. With the default pipeline, they mean the same as the given ones.
#
# What happens: sqrt(pow(x, 2)) is saved as `identity` in both cases, so the absolute value of x becomes x.
#
# Seen with coremltools 9.0: ['const', 'identity'] with the empty pipeline, ['identity'] with the default one. The pass
# `mil_backend::fuse_pow2_sqrt` runs for every ML Program, and is not in the pipeline that one can choose.
#
# Why it matters: norms and distances of one dimension lose their absolute value, without a warning.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check coremltools==9.0 numpy==2.4.6

"$folder/venv/bin/python" - 2> "$folder/log" <<'PROGRAM' || { cat "$folder/log"; exit 1; }
import coremltools
import numpy as np
from coremltools.converters.mil.mil import Builder, types

seen = {}
for name, pipeline in (("empty", coremltools.PassPipeline.EMPTY), ("default", coremltools.PassPipeline())):

    @Builder.program(
        input_specs=[Builder.TensorSpec(shape=(3,), dtype=types.fp32)], opset_version=coremltools.target.iOS17
    )
    def program(x):
        return Builder.sqrt(x=Builder.pow(x=x, y=np.float32(2)), name="y")

    model = coremltools.convert(
        program,
        convert_to="mlprogram",
        compute_precision=coremltools.precision.FLOAT32,
        minimum_deployment_target=coremltools.target.iOS17,
        pass_pipeline=pipeline,
        skip_model_load=True,
    )
    (block,) = model.get_spec().mlProgram.functions["main"].block_specializations.values()
    seen[name] = [operation.type for operation in block.operations if operation.type != "const"]
    print(f"sqrt(pow(x, 2)) with the {name} pipeline: {', '.join(seen[name])}")
assert seen == {"empty": ["identity"], "default": ["identity"]}, "the operations stay what they were now"
PROGRAM
