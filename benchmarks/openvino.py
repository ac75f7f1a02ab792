"""How fast is MobileNetV2 on OpenVINO, beside onnxruntime's own CPU provider?

Raw: onnxruntime with its CPU provider and preallocated io-binding, of the same package. Needs the environment that
`make openvino` makes: `.venv/openvino/bin/python -m benchmarks.openvino`.
"""

from __future__ import annotations

import numpy as np

import webnn
from benchmarks.measure import Options, Report, Skipped, in_turn, main, seconds_per, session
from benchmarks.models import image_model

FRAMES, ROUNDS = 40, 9


async def measure(report: Report, options: Options) -> None:
    """Add a row to `report`."""
    (info,) = [info for info in webnn.available_backends() if info.name == "openvino"]
    if not info.available:
        raise Skipped(info.reason)
    model = image_model(options.models)
    (name, frame), (output, shape) = model.input, model.output
    expected = np.zeros(shape, np.float32)
    cpu = session(model.onnx())
    binding = cpu.io_binding()
    binding.bind_cpu_input(name, frame)
    binding.bind_output(output, element_type=np.float32, shape=shape, buffer_ptr=expected.ctypes.data)
    cpu.run_with_iobinding(binding)
    count = options.count(FRAMES)
    with webnn.create_context(backend="openvino") as context:
        graph = await model.build(context.create_graph_builder())
        result = context.compute(graph, {name: frame})[output]
        error = float(np.abs(result - expected).max() / np.abs(expected).max())
        times = await in_turn(
            options.rounds(ROUNDS),
            {
                "ours": lambda: seconds_per(count, lambda: context.compute(graph, {name: frame})),
                "raw": lambda: seconds_per(count, lambda: cpu.run_with_iobinding(binding)),
            },
        )
    report.rates(f"{model.name}: frames per second", times["ours"], times["raw"])
    report.notes.append(f"The two differ by {error:.1e} of the largest output.")


if __name__ == "__main__":
    main(measure, peer="the CPU provider")
