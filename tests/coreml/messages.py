"""The protobuf classes of Core ML models. Without coremltools, a test module that imports them is skipped."""

from __future__ import annotations

from typing import Any, Final

import pytest

__all__ = ["REASON", "FeatureTypes_pb2", "MIL_pb2", "Model_pb2"]

REASON: Final = "coremltools is not installed: make coreml"

FeatureTypes_pb2: Any = pytest.importorskip("coremltools.proto.FeatureTypes_pb2", reason=REASON)
MIL_pb2: Any = pytest.importorskip("coremltools.proto.MIL_pb2", reason=REASON)
Model_pb2: Any = pytest.importorskip("coremltools.proto.Model_pb2", reason=REASON)
