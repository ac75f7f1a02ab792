"""The TypeScript declarations of a module: `app.d.ts` for `app.js`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from webnn.formats.javascript.module import ARRAY_TYPES, literal
from webnn.formats.webnn_text.document import Document
from webnn.graph.descriptor import MLOperandDescriptor

__all__ = ["TYPES", "declarations_text"]

TYPES: Final = "webnn.d.ts"
"""The declarations of WebNN itself, which TypeScript does not have; the same for every module."""

_TEMPLATE: Final = """\
/// <reference path="./{types}" />

/** An array of float16; without Float16Array, of its bits. */
type Half = typeof globalThis extends {{ Float16Array: {{ prototype: infer T }} }} ? T : Uint16Array;

/** An array for each input. */
export interface Inputs {{
{inputs}}}

/** An array for each output. */
export interface Outputs {{
{outputs}}}

export interface Descriptor {{
  readonly dataType: Exclude<MLOperandDataType, "int4" | "uint4">;
  readonly shape: number[];
  readonly byteLength: number;
}}

export interface Call {{
  readonly op: string;
  readonly label: string;
  readonly args: unknown[];
  readonly results: MLOperand[];
}}

/** Which operands become outputs, in place of the graph's own, of all operators in order. */
export type Choose = (
  calls: readonly Call[],
  outputs: Record<string, MLOperand>,
) => Record<string, MLOperand>;

export declare const inputs: {{ readonly [name in keyof Inputs]: Descriptor }};
export declare const outputs: {{ readonly [name in keyof Outputs]: Descriptor }};

/** What a browser said of one operator, input or constant. */
export declare class RefusedError extends Error {{
  readonly operator: string;
  readonly label: string;
}}

/** A context of this browser; throws where there is no WebNN, and says what to do. */
export declare function createContext(options?: MLContextOptions): Promise<MLContext>;

/** Build the graph, of the content of the file with the weights. */
export declare function build(context: MLContext, weights?: ArrayBuffer, choose?: Choose): Promise<MLGraph>;

/** A built graph with its tensors. */
export declare class Model {{
  constructor(context: MLContext, graph: MLGraph);
  readonly context: MLContext;
  readonly graph: MLGraph;
  /** Build the graph, and make its tensors. Without `weights`, they are fetched from beside the module. */
  static load(options?: {{
    context?: MLContext;
    contextOptions?: MLContextOptions;
    weights?: ArrayBuffer;
  }}): Promise<Model>;
  /** Run the graph once. Runs may overlap. With `checked` (the default), a run that fails silently is found out. */
  run(values: Inputs, options?: {{ checked?: boolean }}): Promise<Outputs>;
  destroy(): void;
}}

/** Run the graph on a context of the browser's choice; it is built at the first call. */
export declare function run(values: Inputs): Promise<Outputs>;
"""


def declarations_text(document: Document, outputs: Mapping[str, MLOperandDescriptor]) -> str:
    """The declarations of the module that `module_text` gives for the same arguments."""
    inputs = [
        _member(name, row.data_type, [size for size in row.shape if isinstance(size, int)], " | ArrayBuffer")
        for name, row in document.inputs.items()
    ]
    results = [_member(name, row.data_type, row.shape, "") for name, row in outputs.items()]
    return _TEMPLATE.format(types=TYPES, inputs="".join(inputs), outputs="".join(results))


def _member(name: str, data_type: str, shape: list[int] | tuple[int, ...], more: str) -> str:
    array = "Half" if data_type == "float16" else ARRAY_TYPES[data_type]
    return f"  /** {data_type} {list(shape)} */\n  readonly {literal(name)}: {array}{more};\n"
