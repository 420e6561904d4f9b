"""What the tests of scrubbing share: a scrubber by settings, and its counts."""

from __future__ import annotations

from hybrid_coordinator.learning_settings import ScrubSettings
from hybrid_coordinator.scrubbing import Kind, Scrubber
from hybrid_coordinator.telemetry.metrics import Metrics

KEY = b"k" * 32
EMAIL = "jane.doe" + "@" + "acme.io"
PHONE = "+1 212 555 " + "0123"
CARD = "4111 1111 " + "1111 1111"
ADDRESS = ".".join(("81", "2", "69", "142"))
TOKEN = "ghp_" + "a1B2c3D4e5F6" * 3
PASSWORD = "Tr0ub" + "4dor99"
PEM = (
    "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0B" * 2 + "\n-----END PRIVATE KEY-----"
)

EVERYTHING = f"""\
Hello, I am {EMAIL}, call {PHONE}. My card is {CARD}.
password: "{PASSWORD}"
GITHUB_TOKEN={TOKEN}
{PEM}
ssh root@{ADDRESS}
"""
VALUE_OF = {
    Kind.EMAIL: EMAIL,
    Kind.PHONE: PHONE,
    Kind.CARD: CARD,
    Kind.IP_ADDRESS: ADDRESS,
    Kind.API_KEY: TOKEN,
    Kind.CREDENTIAL: PASSWORD,
    Kind.PRIVATE_KEY: PEM,
}


def scrubber(
    settings: ScrubSettings | None = None, key: bytes = KEY, metrics: Metrics | None = None
) -> Scrubber:
    """A scrubber that looks for everything, unless the settings say otherwise."""
    return Scrubber(settings or ScrubSettings(ip_addresses=True), key, metrics or Metrics())


def count(metrics: Metrics, kind: Kind) -> float:
    """What the counter of replacements says for a kind."""
    value = metrics.registry.get_sample_value("hybrid_scrubbed_total", {"kind": kind.value})
    return value or 0.0
