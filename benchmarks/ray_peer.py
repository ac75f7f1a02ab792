"""The peer of `ray_data`: an actor over onnxruntime, as one writes it by hand. Imports nothing of webnn."""

from __future__ import annotations

from typing import Any

import onnxruntime

__all__ = ["ByHand"]


class ByHand:
    """A session with the defaults of onnxruntime, run on each batch."""

    def __init__(self, path: str) -> None:
        self._session = onnxruntime.InferenceSession(path)
        self._names = [output.name for output in self._session.get_outputs()]

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The outputs of a batch, with its keys."""
        key = batch.pop("id")
        return {**dict(zip(self._names, self._session.run(None, batch), strict=True)), "id": key}
