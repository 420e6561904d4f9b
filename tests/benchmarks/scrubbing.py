"""How much scrubbing finds, how much it takes wrongly, and what it costs.

    python -m tests.benchmarks.scrubbing [TEXT FILE …]     (from the repository's root)

Recall and precision by kind on the labelled set, and the time per KB of prose
and of code. Files named besides are scrubbed too, and what is replaced in them
is counted by kind: on real text without secrets that is a count of mistakes.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from detect_secrets.core.scan import scan_line
from detect_secrets.settings import default_settings
from rich.console import Console
from rich.table import Table

from hybrid_coordinator.learning_settings import ScrubSettings
from hybrid_coordinator.scrubbing import Kind, Scrubber
from hybrid_coordinator.scrubbing.placeholders import PLACEHOLDER
from hybrid_coordinator.telemetry.metrics import Metrics
from tests.benchmarks.scrubbing_samples import Label, Sample
from tests.benchmarks.scrubbing_set import negatives, positives

ROOT = Path(__file__).parents[2]
KEY = b"the key of the benchmark"
SECRETS = (Kind.PRIVATE_KEY, Kind.API_KEY, Kind.CREDENTIAL)
ALL_KINDS = ScrubSettings(ip_addresses=True)


@dataclass
class Tally:
    """Of one kind: labels found and missed, replacements right and wrong."""

    found: int = 0
    missed: int = 0
    right: int = 0
    wrong: int = 0

    @property
    def recall(self) -> float:
        return self.found / (self.found + self.missed or 1)

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.wrong or 1)

    def add(self, other: Tally) -> None:
        self.found += other.found
        self.missed += other.missed
        self.right += other.right
        self.wrong += other.wrong


@dataclass
class Verdict:
    """The tallies of a set, and the texts that went wrong."""

    kinds: dict[Kind, Tally] = field(default_factory=lambda: {kind: Tally() for kind in Kind})
    missed: list[tuple[Label, Sample]] = field(default_factory=list)
    wrong: list[tuple[Label, Sample]] = field(default_factory=list)

    def total(self, *kinds: Kind) -> Tally:
        total = Tally()
        for kind in kinds or tuple(Kind):
            total.add(self.kinds[kind])
        return total


def replaced(text: str, scrubbed: str) -> list[Label]:
    """What was replaced, by laying the pieces between placeholders over the text.

    Raises:
        AssertionError: the scrubbed text is not the text with pieces replaced.
    """
    kinds = [
        Kind(m.group()[1 : m.group().rindex("_")].lower()) for m in PLACEHOLDER.finditer(scrubbed)
    ]
    pieces = [re.escape(piece) for piece in PLACEHOLDER.split(scrubbed)]
    match = re.fullmatch("(.+?)".join(pieces), text, re.DOTALL)
    assert match is not None, "something else than a placeholder was put in"
    return [Label(kind, value) for kind, value in zip(kinds, match.groups(), strict=True)]


def judge(samples: list[Sample], scrubber: Scrubber) -> Verdict:
    """Scrub every sample; a label is found where all of its value is gone, under its kind."""
    verdict = Verdict()
    for sample in samples:
        taken = replaced(sample.text, scrubber.scrub(sample.text))
        for label in set(sample.labels):
            covering = [t for t in taken if label.value in t.value and t.kind == label.kind]
            tally = verdict.kinds[label.kind]
            if covering:
                tally.found += 1
            else:
                tally.missed += 1
                verdict.missed.append((label, sample))
        for one in taken:
            fits = any(
                label.value in one.value and len(one.value) <= len(label.value) + 8
                for label in sample.labels
                if label.kind == one.kind
            )
            tally = verdict.kinds[one.kind]
            if fits:
                tally.right += 1
            else:
                tally.wrong += 1
                verdict.wrong.append((one, sample))
    return verdict


def plugins_alone(samples: list[Sample]) -> tuple[float, int]:
    """What detect-secrets finds as its command does: recall of the secrets, negatives marked."""
    labels = found = marked = 0
    with default_settings():
        for sample in samples:
            values = [
                secret.secret_value or ""
                for line in sample.text.splitlines()
                for secret in scan_line(line)
            ]
            wanted = [label for label in sample.labels if label.kind in SECRETS]
            labels += len(wanted)
            # A marker is all that its plugin reports of a private key.
            found += sum(
                any(label.value in v or (v and v in label.value and len(v) > 15) for v in values)
                for label in wanted
            )
            marked += bool(values) and not sample.labels
    return found / labels, marked


def microseconds_per_kb(scrubber: Scrubber, text: str, seconds: float = 1.0) -> float:
    """The median over repetitions on pieces of 4 KB, as an answer is."""
    pieces = [text[at : at + 4_096] for at in range(0, len(text), 4_096)]
    took: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        for piece in pieces:
            started = time.perf_counter()
            scrubber.scrub(piece)
            took.append((time.perf_counter() - started) / len(piece) * 1_024)
    return sorted(took)[len(took) // 2] * 1e6


def prose() -> str:
    """Some text for people: the project's own pages."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return "\n".join(page.read_text() for page in pages)


def code() -> str:
    """Some source code: the coordinator's own."""
    package = ROOT / "coordinator" / "src" / "hybrid_coordinator"
    return "\n".join(file.read_text() for file in sorted(package.rglob("*.py")))


def report(verdict: Verdict, console: Console) -> None:
    """Print recall and precision by kind, for the secrets together, and in all."""
    table = Table("kind", "labels", "recall", "replaced", "precision")
    rows = [(str(kind), verdict.total(kind)) for kind in Kind]
    rows += [("secrets", verdict.total(*SECRETS)), ("all", verdict.total())]
    for name, tally in rows:
        table.add_row(
            name,
            str(tally.found + tally.missed),
            f"{tally.recall:.3f}",
            str(tally.right + tally.wrong),
            f"{tally.precision:.3f}",
        )
    console.print(table)
    for title, cases in (("missed", verdict.missed), ("wrong", verdict.wrong)):
        for label, sample in cases:
            console.print(f"{title} {label.kind}: {label.value[:60]!r} in {sample.text[:100]!r}")


def main(files: list[str]) -> int:
    """Measure and print."""
    console = Console(highlight=False, width=140)
    scrubber = Scrubber(ALL_KINDS, KEY, Metrics())
    with_something, with_nothing = positives(), negatives()
    console.print(
        f"{len(with_something)} texts with something to replace, {len(with_nothing)} without"
    )
    report(judge(with_something + with_nothing, scrubber), console)
    recall, marked = plugins_alone(with_something + with_nothing)
    console.print(
        f"detect-secrets as it comes: secrets' recall {recall:.3f}, "
        f"{marked} of {len(with_nothing)} texts without any marked"
    )
    default = Scrubber(ScrubSettings(), KEY, Metrics())
    for name, text in (("prose", prose()), ("code", code())):
        console.print(f"{name}: {microseconds_per_kb(default, text):.0f} µs per KB")
    for file in files:
        text = Path(file).read_text(errors="replace")
        started = time.perf_counter()
        taken = Counter(label.kind for label in replaced_by_line(text, default))
        took = time.perf_counter() - started
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(taken.items())) or "nothing"
        console.print(f"{file}: {found}; {len(text) / 1_024:.0f} KB in {took:.2f} s")
    return 0


def replaced_by_line(text: str, scrubber: Scrubber) -> list[Label]:
    """What is replaced in a long text, line by line."""
    taken: list[Label] = []
    for line in text.splitlines():
        scrubbed = scrubber.scrub(line)
        if scrubbed != line:
            taken += replaced(line, scrubbed)
    return taken


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
