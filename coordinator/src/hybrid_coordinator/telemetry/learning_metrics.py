"""The metrics of learning; they are ``Metrics.learning`` and follow its rules."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class LearningMetrics:
    """What is tracked, scored, extracted, exported and scrubbed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        r = registry
        self.interactions = Counter(
            "hybrid_interactions_total",
            "Interactions kept, by how they came",
            ["source"],  # gateway, client
            registry=r,
        )
        self.lost = Counter(
            "hybrid_interactions_lost_total",
            "Interactions of the gateway that could not be kept, by cause",
            ["cause"],
            registry=r,
        )
        for cause in ("outbox_full", "queue_full", "store_unavailable"):
            self.lost.labels(cause=cause)
        self.outcomes = Counter(
            "hybrid_outcomes_total",
            "Outcomes told, by value and source",
            ["outcome", "source"],
            registry=r,
        )
        self.outbox_records = Gauge(
            "hybrid_outbox_records", "Records that wait for Qdrant", registry=r
        )
        self.outbox_bytes = Gauge(
            "hybrid_outbox_bytes", "Size of the records that wait for Qdrant", registry=r
        )
        self.outbox_oldest_seconds = Gauge(
            "hybrid_outbox_oldest_timestamp_seconds",
            "When the oldest waiting record was accepted, as Unix time; 0 for none",
            registry=r,
        )
        self.outbox_refused = Counter(
            "hybrid_outbox_refused_total",
            "Records refused because the outbox was full",
            registry=r,
        )
        self.outbox_commit_seconds = Histogram(
            "hybrid_outbox_commit_seconds",
            "Time from handing a record over until it is on disk",
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
            registry=r,
        )
        self.deliveries = Counter(
            "hybrid_outbox_deliveries_total",
            "Records delivered to Qdrant, or not, by kind and result",
            ["kind", "result"],  # ok, retried, dead
            registry=r,
        )
        for kind in ("interaction", "outcome"):
            self.deliveries.labels(kind=kind, result="dead")
        self.value_score = Histogram(
            "hybrid_value_score_ratio",
            "Value scores",
            buckets=[i / 10 for i in range(1, 11)],
            registry=r,
        )
        self.extraction_queue = Gauge(
            "hybrid_extraction_queue_entries",
            "Interactions in the extraction queue, by state",
            ["state"],  # waiting, claimed, dead
            registry=r,
        )
        self.extractions = Counter(
            "hybrid_extractions_total",
            "Attempts to extract a pattern, by result",
            ["result"],
            registry=r,
        )
        self.patterns = Counter(
            "hybrid_patterns_total",
            "Learned items that changed their status, by collection and new status",
            ["collection", "status"],
            registry=r,
        )
        self.dataset_examples = Gauge(
            "hybrid_dataset_examples",
            "Examples in the last data set, by format",
            ["format"],
            registry=r,
        )
        self.scrubbed = Counter(
            "hybrid_scrubbed_total",
            "Pieces of text replaced by placeholders, by kind",
            ["kind"],
            registry=r,
        )
        self.forgotten = Counter(
            "hybrid_interactions_forgotten_total",
            "Interactions removed with everything derived from them, by cause",
            ["cause"],  # asked, age
            registry=r,
        )
        self.experiment_requests = Counter(
            "hybrid_experiment_requests_total",
            "Requests that took part in an experiment",
            ["experiment", "variant"],
            registry=r,
        )
