"""Keys: how they are read, compared and mapped to callers."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from hybrid_coordinator.api.auth import KeyRing
from hybrid_coordinator.api_keys import parse_keys
from hybrid_coordinator.conversation import LOOPBACK_CALLER, OPERATOR_CALLER
from hybrid_coordinator.errors import SettingsError, Unauthorized
from tests.unit.api.scripted import ALICE, BOB, KEYS, OPERATOR


def test_without_keys_everybody_is_the_loopback_caller() -> None:
    ring = KeyRing()
    assert ring.is_open
    assert ring.identify({}) is LOOPBACK_CALLER
    assert ring.identify({b"authorization": b"Bearer whatever"}) is LOOPBACK_CALLER


@pytest.mark.parametrize(
    "headers",
    [
        {b"authorization": f"Bearer {ALICE}".encode()},
        {b"authorization": f"bearer  {ALICE} ".encode()},
        {b"x-api-key": ALICE.encode()},
        {b"authorization": f"Bearer {ALICE}".encode(), b"x-api-key": ALICE.encode()},
    ],
)
def test_a_key_is_accepted_in_either_header(headers: dict[bytes, bytes]) -> None:
    caller = KeyRing(KEYS).identify(headers)
    assert caller.name == "alice"
    assert caller.id == parse_keys(f"alice:{ALICE}")[0].caller_id


def test_each_key_is_a_caller_of_its_own_and_the_id_is_derived_from_the_hash() -> None:
    ring = KeyRing(KEYS)
    alice = ring.identify({b"x-api-key": ALICE.encode()})
    bob = ring.identify({b"x-api-key": BOB.encode()})
    assert alice.id != bob.id
    inner = hashlib.sha256(ALICE.encode()).hexdigest()
    assert alice.id == hashlib.sha256(f"caller:{inner}".encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"authorization": b"Bearer "},
        {b"authorization": b"Bearer wrong-key-0123456789"},
        {b"authorization": ALICE.encode()},
        {b"authorization": b"Basic " + ALICE.encode()},
        {b"x-api-key": b""},
        {b"x-api-key": ALICE.encode() + b"x"},
        {b"x-api-key": ALICE[:-1].encode()},
        {b"x-api-key": ALICE.upper().encode()},
        {b"x-api-key": b"\xff\xfe"},
        {b"authorization": f"Bearer {ALICE}".encode(), b"x-api-key": BOB.encode()},
        {b"x-api-key": hashlib.sha256(ALICE.encode()).hexdigest().encode()},
    ],
)
def test_no_key_a_wrong_one_or_two_that_differ_are_refused(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(Unauthorized):
        KeyRing(KEYS).identify(headers)


def test_every_entry_is_compared_in_constant_time_lesson_22(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def spy(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    KeyRing(KEYS).identify({b"x-api-key": ALICE.encode()})
    assert compared == [(32, 32), (32, 32)]


def test_keys_are_not_kept_in_memory_lesson_22() -> None:
    ring = KeyRing(KEYS)
    assert ALICE not in repr(vars(ring))
    assert hashlib.sha256(ALICE.encode()).digest() in [e.digest for e in ring._entries or ()]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no key"),
        ("# only a comment\n\n", "holds no key"),
        ("alice", "line 1"),
        (f":{ALICE}", "line 1"),
        ("alice:short", "shorter than 16"),
        (f"alice:{ALICE}\nalice:{BOB}", "given twice"),
        (f"alice:{ALICE}\nbob:{ALICE}", "another caller's key"),
        ("alice:key with blanks 0123456789", "a header cannot carry"),
        ("alice:ключ-0123456789-0123456789", "a header cannot carry"),
    ],
)
def test_a_bad_keys_file_is_refused_without_showing_a_key(text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        KeyRing(text)
    assert ALICE not in caught.value.message


def test_reload_swaps_all_keys_and_a_bad_text_leaves_the_old_ones() -> None:
    ring = KeyRing(KEYS)
    with pytest.raises(SettingsError):
        ring.reload("nonsense")
    assert ring.identify({b"x-api-key": ALICE.encode()}).name == "alice"
    ring.reload("carol:carol-key-0123456789")
    assert ring.identify({b"x-api-key": b"carol-key-0123456789"}).name == "carol"
    with pytest.raises(Unauthorized):
        ring.identify({b"x-api-key": ALICE.encode()})


def test_the_operators_key_is_the_operators_and_nobody_elses() -> None:
    ring = KeyRing(KEYS, operator=OPERATOR)
    assert ring.identify({b"x-api-key": OPERATOR.encode()}) is OPERATOR_CALLER
    assert not ring.identify({b"x-api-key": ALICE.encode()}).is_operator
    with pytest.raises(Unauthorized):
        KeyRing(KEYS).identify({b"x-api-key": OPERATOR.encode()})
    ring.reload("carol:carol-key-0123456789")
    assert ring.identify({b"x-api-key": OPERATOR.encode()}).is_operator
    assert OPERATOR not in repr(vars(ring))


@pytest.mark.parametrize("name", ["operator", "loopback"])
def test_a_caller_of_the_operators_name_is_no_operator_lesson_22(name: str) -> None:
    ring = KeyRing(f"{name}:{ALICE}", operator=OPERATOR)
    caller = ring.identify({b"x-api-key": ALICE.encode()})
    assert (caller.name, caller.is_operator) == (name, False)


def test_a_copy_of_the_operators_key_in_the_keys_file_makes_nobody_operator() -> None:
    ring = KeyRing(f"alice:{OPERATOR}", operator=OPERATOR)
    assert not ring.identify({b"x-api-key": OPERATOR.encode()}).is_operator


def test_the_operators_key_is_compared_in_constant_time_too_lesson_22(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def spy(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    KeyRing(KEYS, operator=OPERATOR).identify({b"x-api-key": OPERATOR.encode()})
    assert compared == [(32, 32)] * 3


HASHED = f"alice:sha256:{hashlib.sha256(ALICE.encode()).hexdigest()}"


def test_a_hash_in_the_file_accepts_the_key_and_is_the_same_caller() -> None:
    plain, hashed = KeyRing(KEYS), KeyRing(HASHED)
    headers = {b"x-api-key": ALICE.encode()}
    assert hashed.identify(headers) == plain.identify(headers)


def test_the_hash_itself_is_no_key_lesson_22() -> None:
    for presented in (HASHED, HASHED.partition(":")[2], HASHED.rpartition(":")[2]):
        with pytest.raises(Unauthorized):
            KeyRing(HASHED).identify({b"x-api-key": presented.encode()})


def test_a_key_is_accepted_through_its_last_day_and_no_longer() -> None:
    midnight = 1_798_761_600.0  # 2027-01-01T00:00:00Z
    now = [midnight - 0.001]
    ring = KeyRing(f"{HASHED}:2026-12-31", now=lambda: now[0])
    headers = {b"x-api-key": ALICE.encode()}
    assert ring.identify(headers).name == "alice"
    now[0] = midnight
    with pytest.raises(Unauthorized, match="expired"):
        ring.identify(headers)


@pytest.mark.parametrize(
    "line",
    [
        "alice:sha256:abc",
        f"{HASHED}0",
        f"{HASHED}:tomorrow",
        f"{HASHED}:2026-02-30",
        f"{HASHED}:9999-12-31",
        f"{HASHED}:2026-12-31:more",
        HASHED.upper().replace("ALICE:SHA256", "alice:sha256"),
    ],
)
def test_a_hash_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(SettingsError, match="line 1") as caught:
        KeyRing(line)
    assert hashlib.sha256(ALICE.encode()).hexdigest() not in caught.value.message.lower()
