"""What is derived from several settings."""

from __future__ import annotations

import pytest

from hybrid_coordinator.settings import Settings


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8092"),
        ("localhost", "http://localhost:8092"),
        ("::1", "http://[::1]:8092"),
        ("0.0.0.0", "http://127.0.0.1:8092"),
        ("::", "http://[::1]:8092"),
        ("gateway.lan", "http://gateway.lan:8092"),
    ],
)
def test_a_program_on_the_same_machine_reaches_every_host(host: str, url: str) -> None:
    assert Settings(host=host, api_keys_file="keys").local_url == url
