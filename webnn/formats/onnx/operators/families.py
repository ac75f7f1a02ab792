"""The modules of this folder by family, with the operators that each of them imports.

A module is loaded with the first node of one of its operators, since all of them together take longer to load than most
models. So an operator is named twice: in the decorator of its function, and here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from webnn.formats.onnx.importing.operator_table import imported_by

__all__ = ["FAMILIES"]

FAMILIES: Final[Mapping[str, str]] = {
    "activation": (
        "Elu Gelu HardSigmoid HardSwish Hardmax LeakyRelu LogSoftmax Mish PRelu Relu Sigmoid Softmax Softplus "
        "Softsign Swish"
    ),
    "attention": "Attention com.microsoft.Attention com.microsoft.MultiHeadAttention",
    "batch_normalization": "BatchNormalization InstanceNormalization LRN",
    "block_quantization": "com.microsoft.GatherBlockQuantized com.microsoft.MatMulNBits",
    "classical_ml": (
        "ai.onnx.ml.ArrayFeatureExtractor ai.onnx.ml.Binarizer ai.onnx.ml.FeatureVectorizer "
        "ai.onnx.ml.Imputer ai.onnx.ml.LabelEncoder ai.onnx.ml.LinearClassifier ai.onnx.ml.LinearRegressor "
        "ai.onnx.ml.Normalizer ai.onnx.ml.OneHotEncoder ai.onnx.ml.Scaler"
    ),
    "constants": "Constant ConstantOfShape Range Shape Size",
    "contrib": (
        "com.microsoft.BiasAdd com.microsoft.BiasGelu com.microsoft.BiasSoftmax com.microsoft.BiasSplitGelu "
        "com.microsoft.EmbedLayerNormalization com.microsoft.ExpandDims com.microsoft.FastGelu "
        "com.microsoft.FusedConv com.microsoft.FusedGemm com.microsoft.FusedMatMul "
        "com.microsoft.FusedMatMulActivation com.microsoft.Gelu com.microsoft.NhwcConv "
        "com.microsoft.NhwcFusedConv com.microsoft.NhwcMaxPool com.microsoft.QuickGelu "
        "com.microsoft.TransposeMatMul com.microsoft.Trilu"
    ),
    "control_flow": "If Loop Scan",
    "convolution": "Conv ConvTranspose",
    "elementwise": (
        "Abs Add Cast CastLike Ceil Clip Cos Div Dropout Erf Exp Floor Identity Log Max Mean Min Mod Mul Neg Pow "
        "Reciprocal Round Sign Sin Sqrt StopGradient Sub Sum Tan Tanh"
    ),
    "functions": "Acos Acosh Asin Asinh Atan Atanh Celu Cosh Selu Shrink Sinh ThresholdedRelu",
    "gathering": "Compress CumProd CumSum Gather GatherElements GatherND OneHot",
    "grid_sample": "AffineGrid DeformConv GridSample RoiAlign",
    "group_query_attention": "RotaryEmbedding com.microsoft.GroupQueryAttention com.microsoft.RotaryEmbedding",
    "integer_products": (
        "ConvInteger MatMulInteger com.microsoft.DynamicQuantizeMatMul com.microsoft.MatMulIntegerToFloat"
    ),
    "kernels": "Col2Im Det ReverseSequence TopK",
    "logic": (
        "And BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Equal Greater GreaterOrEqual IsInf IsNaN "
        "Less LessOrEqual Not Or Where Xor"
    ),
    "matrix": "Einsum Gemm MatMul",
    "movement": (
        "Concat DepthToSpace Expand EyeLike Flatten Pad Reshape Slice SpaceToDepth Split Squeeze Tile "
        "Transpose Trilu Unsqueeze"
    ),
    "normalization": (
        "GroupNormalization LayerNormalization LpNormalization MeanVarianceNormalization RMSNormalization "
        "SimplifiedLayerNormalization com.microsoft.GroupNorm com.microsoft.SimplifiedLayerNormalization "
        "com.microsoft.SkipGroupNorm com.microsoft.SkipLayerNormalization "
        "com.microsoft.SkipSimplifiedLayerNormalization"
    ),
    "pooling": "AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool MaxUnpool",
    "qlinear": (
        "QLinearConv QLinearMatMul com.microsoft.DynamicQuantizeLSTM com.microsoft.QAttention "
        "com.microsoft.QGemm com.microsoft.QLinearAdd com.microsoft.QLinearAveragePool "
        "com.microsoft.QLinearConcat com.microsoft.QLinearConv com.microsoft.QLinearGlobalAveragePool "
        "com.microsoft.QLinearLeakyRelu com.microsoft.QLinearMul com.microsoft.QLinearReduceMean "
        "com.microsoft.QLinearSigmoid com.microsoft.QLinearSoftmax com.microsoft.QLinearWhere"
    ),
    "quantization": (
        "DequantizeLinear DynamicQuantizeLinear QuantizeLinear com.microsoft.DequantizeLinear "
        "com.microsoft.QuantizeLinear"
    ),
    "recurrent": "GRU LSTM RNN",
    "reduction": (
        "ArgMax ArgMin ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin "
        "ReduceProd ReduceSum ReduceSumSquare"
    ),
    "resize": "Resize Upsample",
    "scattering": "Scatter ScatterElements ScatterND TensorScatter",
    "sequences": (
        "ConcatFromSequence Optional OptionalGetElement OptionalHasElement SequenceAt SequenceConstruct "
        "SequenceEmpty SequenceErase SequenceInsert SequenceLength SplitToSequence"
    ),
    "signal": "DFT MelWeightMatrix STFT",
    "support_vectors": "ai.onnx.ml.SVMClassifier ai.onnx.ml.SVMRegressor",
    "tree_ensemble": "ai.onnx.ml.TreeEnsemble ai.onnx.ml.TreeEnsembleClassifier ai.onnx.ml.TreeEnsembleRegressor",
}
"""The types of nodes, with the domain before those that are not in the ONNX standard's default domain."""

for family, op_types in FAMILIES.items():
    imported_by(f"webnn.formats.onnx.operators.{family}", op_types.split())
