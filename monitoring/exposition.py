"""The metrics in Prometheus' own formats, by its own library, which is optional."""

from __future__ import annotations

from collections.abc import Iterator

from monitoring.core.metrics import Facts, families

try:
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.metrics_core import GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError:
    IS_INSTALLED = False
else:
    IS_INSTALLED = True

    class _Collector(Collector):
        """Hands over what was read for one answer."""

        def __init__(self, facts: Facts) -> None:
            self.facts = facts

        def collect(self) -> Iterator[Metric]:
            for family in families(self.facts):
                labels = list(family.samples[0].labels)
                gauge = GaugeMetricFamily(family.name, family.help, labels=labels)
                for sample in family.samples:
                    gauge.add_metric(list(sample.labels.values()), sample.value)
                yield gauge


MISSING = "prometheus-client is not installed: pip install 'django-task-monitoring[prometheus]'"


def expose(facts: Facts, accept: str) -> tuple[bytes, str]:
    """Return the metrics and their content type, in the best format that is accepted.

    accept: the header of that name. The registry is made for this answer alone, so that nothing
    of the process is told, and nothing that another process counts is missing.
    Only if `IS_INSTALLED`.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(facts))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
