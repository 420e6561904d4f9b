"""Certificates that run out, and keys: rights, age, and the last day of a client's."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hybrid_coordinator.health.expiry_checks import check_certificates, check_keys
from hybrid_coordinator.health_report import Level, Part
from tests.unit.health.scenes import settings

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SECRET = "0123456789abcdef-secret"


def certificate(path: Path, days: float) -> Path:
    """A certificate that ends so many days after ``NOW``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ai.example.org")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=300))
        .not_valid_after(NOW + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


async def certificates(folder: Path, *paths: Path) -> Part:
    made = settings(folder, health={"certificates": [str(path) for path in paths]})
    return await check_certificates(made, NOW.timestamp)


@pytest.mark.parametrize(
    ("days", "level", "said"),
    [
        (15, Level.OK, "the first expires in 15 days"),
        (13, Level.WARNING, "about to expire"),
        (-1, Level.CRITICAL, "expired: "),
    ],
)
async def test_a_certificate_is_judged_by_its_last_day(
    tmp_path: Path, days: float, level: Level, said: str
) -> None:
    part = await certificates(tmp_path, certificate(tmp_path / "c.pem", days))
    assert part.level is level
    assert said in part.found


async def test_what_is_no_certificate_or_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.pem").write_text("no certificate")
    part = await certificates(tmp_path, tmp_path / "text.pem", tmp_path / "gone.pem")
    assert part.level is Level.WARNING
    assert f"{tmp_path / 'text.pem'}: it holds no certificate" in part.found
    assert f"{tmp_path / 'gone.pem'}: No such file" in part.found


async def keys(folder: Path, text: str = f"alice:{SECRET}", mode: int = 0o600) -> Part:
    path = folder / "keys"
    path.write_text(text)
    path.chmod(mode)
    os.utime(path, (NOW.timestamp() - 86_400, NOW.timestamp() - 86_400))
    return await check_keys(settings(folder, api_keys_file=str(path)), NOW.timestamp)


async def test_a_key_that_only_its_owner_reads_is_well(tmp_path: Path) -> None:
    part = await keys(tmp_path)
    assert (part.level, part.found) == (Level.OK, "1 keys are in order")


@pytest.mark.parametrize("mode", [0o644, 0o620])
async def test_a_key_that_others_can_use_is_named_and_never_shown(
    tmp_path: Path, mode: int
) -> None:
    part = await keys(tmp_path, mode=mode)
    assert part.level is Level.WARNING
    assert f"{mode:04o}" in part.found
    assert "chmod 0600" in part.remedy
    assert SECRET not in part.text


async def test_a_key_is_to_be_changed_once_it_is_too_old(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"alice:{SECRET}")
    path.chmod(0o600)
    os.utime(path, (0, 0))
    found = await check_keys(settings(tmp_path, api_keys_file=str(path)), lambda: 366 * 86_400.0)
    assert (found.level, found.cause) == (Level.WARNING, "api_keys_file age")
    never = settings(tmp_path, api_keys_file=str(path), health={"max_key_age_days": None})
    assert (await check_keys(never, lambda: 366 * 86_400.0)).level is Level.OK


async def test_a_clients_key_that_ran_out_or_soon_will_is_named(tmp_path: Path) -> None:
    lines = [f"over:sha256:{'a' * 64}:2026-05-31", f"soon:sha256:{'b' * 64}:2026-06-10"]
    part = await keys(tmp_path, "\n".join(lines))
    assert part.level is Level.WARNING
    assert "no longer accepted are the keys of over" in part.found
    assert "about to expire are the keys of soon (last day 2026-06-10)" in part.found


async def test_the_headers_of_traces_are_a_secret_too(tmp_path: Path) -> None:
    path = tmp_path / "headers"
    path.write_text(f"authorization={SECRET}")
    path.chmod(0o644)
    part = await check_keys(settings(tmp_path, tracing={"headers_file": str(path)}), NOW.timestamp)
    assert part.level is Level.WARNING
    assert "tracing.headers_file" in part.found
    assert SECRET not in part.text


async def test_without_keys_there_is_nothing_to_check(tmp_path: Path) -> None:
    assert (await check_keys(settings(tmp_path), NOW.timestamp)).level is Level.OFF
