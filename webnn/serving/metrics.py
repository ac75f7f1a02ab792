"""The figures of a server for Prometheus, made from its own counts when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from webnn.runtime.context import MLContext
from webnn.serving.exchanges import Shared
from webnn.serving.figures import EDGES
from webnn.serving.inference import Inference

__all__ = ["Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Collector):
    """The figures of all models of a server.

    Args:
        inferences: the inferences of every version.
        contexts: that run the models.
        shared: the state that all models of the server share.
    """

    def __init__(self, inferences: Sequence[Inference], contexts: Sequence[MLContext], shared: Shared) -> None:
        self._inferences = inferences
        self._contexts = contexts
        self._shared = shared
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """The figures now, in the text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """The figures now, for Prometheus's own registry."""
        names = ("model", "version")
        requests = CounterMetricFamily(
            "webnn_requests", "Requests that have ended, by status; 499: the client left.", labels=[*names, "code"]
        )
        items = CounterMetricFamily("webnn_items", "Items that were computed for requests.", labels=names)
        seconds = HistogramMetricFamily(
            "webnn_request_seconds", "From a request's head to its answer, if it is 200.", labels=names
        )
        queue = GaugeMetricFamily(
            "webnn_queue_items", "Items of a model that are queued or being computed.", labels=["model"]
        )
        limit = GaugeMetricFamily("webnn_queue_items_limit", "The most such items.", labels=["model"])
        pace = GaugeMetricFamily(
            "webnn_seconds_per_item", "Measured while the model was busy; 0 before.", labels=["model"]
        )
        seen = set()
        for inference in self._inferences:
            figures, served, admission = inference.requests, inference.served, inference.admission
            labels = [served.name, served.version]
            for code, many in sorted(figures.by_status.items()):
                requests.add_metric([*labels, str(code)], many)
            items.add_metric(labels, figures.items)
            total, buckets = 0, []
            for edge, many in zip((*map(str, EDGES), "+Inf"), figures.buckets, strict=True):
                total += many
                buckets.append((edge, total))
            seconds.add_metric(labels, buckets, figures.seconds)
            if served.name not in seen:
                seen.add(served.name)
                queue.add_metric([served.name], admission.items)
                limit.add_metric([served.name], admission.most)
                pace.add_metric([served.name], admission.pace)
        yield from (requests, items, seconds, queue, limit, pace)
        yield GaugeMetricFamily(
            "webnn_requests_in_progress", "Requests that have no answer yet.", len(self._shared.exchanges)
        )
        yield GaugeMetricFamily("webnn_body_bytes", "Bytes of the bodies of these.", self._shared.memory.bodies)
        yield GaugeMetricFamily(
            "webnn_answer_bytes",
            "Bytes of the answers that are being computed or that clients have not taken.",
            self._shared.memory.answers,
        )
        yield from self._runtime()

    def _runtime(self) -> Iterable[Metric]:
        """The figures of the contexts, together."""
        statistics = [context.statistics() for context in self._contexts]
        memory = [context.memory_info() for context in self._contexts]
        drops = CounterMetricFamily("webnn_drops", "Runs that were given up before they began.", labels=["reason"])
        reasons: dict[str, int] = {}
        sizes: dict[int, int] = {}
        for each in statistics:
            for reason, many in each.drops.items():
                reasons[reason] = reasons.get(reason, 0) + many
            for size, many in each.batching.sizes.items():
                sizes[size] = sizes.get(size, 0) + many
        for reason, many in sorted(reasons.items()):
            drops.add_metric([reason], many)
        yield drops
        edges = [2**i for i in range(11)]
        buckets = [(str(edge), sum(many for size, many in sizes.items() if size <= edge)) for edge in edges]
        batches = HistogramMetricFamily("webnn_batch_items", "Items in each run of two or more.")
        batches.add_metric(
            [], [*buckets, ("+Inf", sum(sizes.values()))], sum(size * many for size, many in sizes.items())
        )
        yield batches
        runs = GaugeMetricFamily("webnn_runs", "Runs of the runtime now.", labels=["state"])
        runs.add_metric(["queued"], sum(each.queued for each in statistics))
        runs.add_metric(["running"], sum(each.running for each in statistics))
        yield runs
        held = GaugeMetricFamily("webnn_memory_bytes", "Memory of tensors and results.", labels=["kind"])
        held.add_metric(["in_use"], sum(each.in_use for each in memory))
        held.add_metric(["idle"], sum(each.idle for each in memory))
        held.add_metric(["peak"], sum(each.peak for each in memory))
        yield held
