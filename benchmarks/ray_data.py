"""How fast is batch inference in Ray Data, with two actors on one machine?

Ours: `dataset.map_batches(webnn.Model, ...)` as it stands. The peer is an actor written by hand: a session of
onnxruntime with its defaults, run on each batch. For both, a function given to `map` decodes the images, which Ray runs
in the same actors. Each round is a pass over the folder, including the start of the actors, which takes most of the
time of a short pass. The compilation of modules to bytecode is not counted, since an installation brings that along.
Needs `ray[data]`, as in the environment of `make scaling`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import webnn
from benchmarks.batch_inference import open_batch, saved
from benchmarks.measure import Options, Report, Skipped, in_turn, main
from benchmarks.models import Model, image_model, mlp
from benchmarks.photos import decoded, photos
from benchmarks.ray_peer import ByHand

IMAGES, ROUNDS, BATCH = 2000, 3, 32


def passes(kind: Model, files: Sequence[Path], path: Path) -> dict[str, Callable[[], float]]:
    """A pass over the files by each peer, which gives the seconds for each file; `path` is the model's file."""
    import ray.data  # noqa: PLC0415

    name, frame = kind.input
    decode = partial(decoded, frame.shape[1:])
    actors: dict[str, Any] = {"batch_size": BATCH, "compute": ray.data.ActorPoolStrategy(size=2)}

    def rate(mapped: Callable[[Any], Any]) -> float:
        rows = [{"file": str(file), "id": i} for i, file in enumerate(files)]
        images = ray.data.from_items(rows, override_num_blocks=8).map(
            lambda row: {name: decode(Path(row["file"])), "id": row["id"]}
        )
        began = time.perf_counter()
        seen = sum(len(batch["id"]) for batch in mapped(images).iter_batches())
        assert seen == len(files)
        return (time.perf_counter() - began) / seen

    def ours(images: Any) -> Any:
        options = {"batch": "batch", "keep": ["id"]}
        return images.map_batches(
            webnn.Model, fn_constructor_args=(str(path),), fn_constructor_kwargs=options, **actors
        )

    def by_hand(images: Any) -> Any:
        return images.map_batches(ByHand, fn_constructor_args=(str(path),), **actors)

    return {"ours": lambda: rate(ours), "by hand": lambda: rate(by_hand)}


async def measure(report: Report, options: Options) -> None:
    """Add the rates to `report`."""
    if importlib.util.find_spec("ray") is None:
        raise Skipped("Ray is not installed: use the environment of `make scaling`")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the actors keep their bytecode, as an installation has it
    os.environ.update(RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    import ray  # noqa: PLC0415
    import ray.data  # noqa: PLC0415

    try:
        ray.init(
            num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR", _temp_dir=folder,
            object_store_memory=500 << 20,
        )  # fmt: skip
        ray.data.DataContext.get_current().enable_progress_bars = False
        files = photos(Path(folder), options.count(IMAGES, 16))
        models = image_model(options.models), mlp("MLP of 3 layers on gray values", [1024, 1024, 1024, 10])
        for kind in (each for each in models if options.has(each.name)):
            path = saved(Path(folder), open_batch(kind.onnx()))
            if not options.is_tiny:
                for run in passes(kind, files[:16], path).values():
                    run()  # which writes bytecode
            times = await in_turn(options.rounds(ROUNDS), passes(kind, files, path))
            report.rates(f"{kind.name}, {len(files)} files, 2 actors", times["ours"], times["by hand"], bar=1.0)
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(measure, peer="an actor over onnxruntime")
