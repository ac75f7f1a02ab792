"""Matrix products in ONNX."""

from webnn.backends.onnx.lowerings import lowerings, one_to_one
from webnn.backends.onnx.model import Model
from webnn.graph.ir import Node

one_to_one({"matmul": "MatMul"})


@lowerings.lowers("wide_matmul")
def wide_matmul(node: Node, model: Model) -> None:
    """`MatMul`."""
    model.emit("MatMul", [model[node["a"]], model[node["b"]]], to=node.output)


@lowerings.lowers("gemm")
def gemm(node: Node, model: Model) -> None:
    """One Gemm, which has the same options."""
    model.emit(
        "Gemm",
        [model[operand] for operand in node.inputs()],
        to=node.output,
        alpha=node.attributes["alpha"],
        beta=node.attributes["beta"],
        transA=int(bool(node.attributes["a_transpose"])),
        transB=int(bool(node.attributes["b_transpose"])),
    )


@lowerings.lowers("determinant")
def determinant(node: Node, model: Model) -> None:
    """`Det`."""
    model.emit("Det", [model[node["input"]]], to=node.output)


@lowerings.lowers("fourier_transform")
def fourier_transform(node: Node, model: Model) -> None:
    """`DFT`."""
    numbers = [model.constant(node.attributes[name]) for name in ("length", "axis")]
    options = {name: node.attributes[name] for name in ("inverse", "onesided")}
    model.emit("DFT", [model[node["input"]], *numbers], to=node.output, **options)


@lowerings.lowers("fourier_transform_of_frames")
def fourier_transform_of_frames(node: Node, model: Model) -> None:
    """`STFT`."""
    window = node.get("window")
    step, length = (model.constant(node.attributes[name]) for name in ("step", "length"))
    inputs = [model[node["input"]], step, "" if window is None else model[window], length]
    model.emit("STFT", inputs, to=node.output, onesided=node.attributes["onesided"])
