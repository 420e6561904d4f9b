"""Texts in which scrubbing may replace nothing: what looks like a secret or a person's data.

The first half; the second is in ``scrubbing_held_out``.
"""

from __future__ import annotations

import base64
import hashlib
import random
import uuid

from tests.benchmarks.scrubbing_samples import ALNUM, HEX, Fakes, Sample


def first_negatives(seed: int) -> list[Sample]:
    """Texts with nothing to replace."""
    texts = [*_digests(seed), *_numbers(), *_code(), *_prose(), *_addresses(), *_documents(seed)]
    return [Sample(text) for text in texts]


def _digests(seed: int) -> list[str]:
    rng = random.Random(seed)
    data = [rng.randbytes(40) for _ in range(20)]
    sha1 = [hashlib.sha1(d).hexdigest() for d in data]
    sha256 = [hashlib.sha256(d).hexdigest() for d in data]
    ids = [str(uuid.UUID(bytes=d[:16], version=4)) for d in data]
    integrity = [base64.b64encode(hashlib.sha512(d).digest()).decode() for d in data]
    picture = base64.b64encode(b"\x89PNG\r\n" + rng.randbytes(300)).decode()
    return [
        f"commit {sha1[0]}",
        f"Merge {sha1[1][:7]} into {sha1[2][:7]}",
        f"sha256:{sha256[0]}",
        f"image: nginx@sha256:{sha256[1]}",
        f'"integrity": "sha512-{integrity[0]}"',
        f'  checksum = "{sha256[2]}"',
        f'hash = "sha256-{base64.b64encode(data[3]).decode()}";',
        f"{sha256[3]}  file.tar.gz",
        f'rev = "{sha1[3]}";',
        f"requests==2.31.0 --hash=sha256:{sha256[4]}",
        f"github.com/pkg/errors v0.9.1 h1:{base64.b64encode(data[5][:32]).decode()}",
        f'ETag: "{sha1[4][:32]}"',
        f"request_id={ids[0]}",
        f'"id": "{ids[1]}",',
        f"PRIMARY KEY ('{ids[2]}')",
        f"urn:uuid:{ids[3]}",
        f"trace {sha1[5][:32]} span {sha1[5][:16]}",
        f'cache_key = "{sha1[6]}"',
        f'<img src="data:image/png;base64,{picture}">',
        f"![x](data:image/png;base64,{picture[:200]})",
        f'resolved "https://registry.yarn.example/left-pad/-/left-pad-1.3.0.tgz#{sha1[7]}"',
        f"docker pull ghcr.io/acme/app:{sha1[8]}",
        f'narHash = "sha256-{base64.b64encode(hashlib.sha256(data[9]).digest()).decode()}"',
        f"/nix/store/{sha1[9][:32]}-hello-2.12",
        f"md5 {hashlib.md5(data[10]).hexdigest()}",
        f"fingerprint SHA256:{base64.b64encode(data[11][:32]).decode().rstrip('=')}",
        f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{base64.b64encode(data[12]).decode()[:42]} laptop",
        "-----BEGIN CERTIFICATE-----\n" + picture[:256] + "\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\n" + picture[:128] + "\n-----END PUBLIC KEY-----",
        "It starts with -----BEGIN PRIVATE KEY----- and ends with -----END PRIVATE KEY-----.",
        "the file has no 'BEGIN RSA PRIVATE KEY' line",
        f"index {sha1[13][:7]}..{sha1[14][:7]} 100644",
        f"primary_key: {ids[5]}",
        f"idempotency-key: {ids[6]}",
        f"next_page_token={sha1[15]}",
        f'{{"object": "chat.completion", "id": "chatcmpl-{sha1[16][:28]}"}}',
        f"gradle distributionSha256Sum={sha256[16]}",
        f"bloom = 0x{sha256[17]}",
    ]


def _numbers() -> list[str]:
    return [
        "pip install torch==2.3.1 numpy==1.26.4",
        "version 10.15.7.1 of the driver",
        "Chrome/120.0.6099.109 Safari/537.36",
        "upgraded from 1.2.3.4 to 1.2.3.5",
        "2024-01-15 10:30:00.123456",
        "2024-01-15T10:30:00Z",
        "On 15.01.2024 at 10:30",
        "timestamp 1704067200",
        "timestamp_ms: 1704067200123",
        "ns=1704067200123456789",
        "The price is $1,234,567.89",
        "1.234.567,89 EUR in total",
        "population 8 336 817",
        "order number 2125550123 shipped",
        "Order #4155552671",
        "invoice 100-2345-6789",
        "ISBN 978-3-16-148410-0",
        "ISBN-13: 9780306406157",
        "tracking 1Z999AA10123456784",
        "doi:10.1000/182",
        "doi 10.1145/3292500.3330701",
        "pid 12345 port 65535",
        "[12345.678901] usb 1-1: new device",
        "range 0-4294967295",
        "0x7fff5fbff8a0",
        "3.14159265358979",
        "2.718281828459045",
        "lat 52.520008 lon 13.404954",
        "coordinates: 40.712776, -74.005974",
        "id: 4111111111111112",
        "account 1234567890123456",
        "epoch 100, loss 0.123456789",
        "chapter 1.2.3.4 of the manual",
        "1234567890",
        "00000000000000000000",
        "123-456",
        "10000000 20000000 30000000",
        "12 34 56 78 90 12",
        "phone book with 1200 entries",
        "size 1073741824 bytes",
        "GPU: 24576 MiB, 1410 MHz",
        "row 1 | 212 | 555 | 123 |",
        "1920x1080 3840x2160",
        "matrix [[1, 2, 3], [4, 5, 6], [7, 8, 9]]",
        "between 1999-2004 and 2010-2015",
        "RFC 2616 section 14.35.1",
        "IBAN check 97 - 10",
        "ticket 20240115-0042",
        "build 20240115.1234567",
        "2001:01:01 12:00:00",
        "duration 12:34:56.789",
        "4 4 4 4 5 5 5 5 6 6 6 6",
        "seed=20260101 n=100000",
        "postal code 10115 Berlin, 20095 Hamburg",
        "SELECT * FROM t LIMIT 1000000 OFFSET 2000000",
    ]


def _code() -> list[str]:
    return [
        "password = get_password()",
        "password = os.environ['DB_PASSWORD']",
        "const token = await getToken(user);",
        "self.password = password",
        "api_key=config.api_key",
        "api_key = settings.openai.api_key",
        "if (password === confirmPassword) {",
        "def login(username: str, password: str) -> Token:",
        "password: z.string().min(8).max(64),",
        '<input type="password" name="password" placeholder="Password">',
        '"password": "string"',
        "DB_PASSWORD=${DB_PASSWORD}",
        "password: {{ vault_db_password }}",
        "api_key: <your-api-key>",
        "OPENAI_API_KEY=your-api-key-here",
        "API_KEY=changeme",
        'token = "<TOKEN>"',
        "password = None",
        "password: null",
        "max_tokens=4096",
        "max_tokens: 512",
        '"total_tokens": 1234',
        'eos_token = "</s>"',
        "pad_token_id=50256",
        "tokens = tokenizer.encode(text)",
        "token_count = len(tokens)",
        "key = lambda x: x[1]",
        "for key, value in items.items():",
        'map.put(key, "value1")',
        "secretName: db-credentials",
        "secretKeyRef:\n  name: db\n  key: password",
        'passwordField.setText("")',
        "password_hash = bcrypt.hashpw(password, salt)",
        "PASSWORD_MIN_LENGTH = 12",
        '"forgot_password": "Forgot your password?"',
        "password_file: /run/secrets/db_password",
        'tokenizer = AutoTokenizer.from_pretrained("gpt2")',
        "secret = secrets.token_hex(32)",
        'public_key = "abc"',
        "foreign_key: user_id1",
        "keyboard: us, key: ctrl+c1",
        "passed: 12, failed: 3",
        'compass = "n3rth4st"[0]',
        "std::vector<std::string> names;",
        "use std::collections::HashMap;",
        "a::b::c::d::e",
        "Foo::Bar.new(1)",
        "slice[1::2], slice[::-1]",
        "aa:bb:cc:dd:ee:ff",
        "@app.route('/x')\n@login_required",
        "@Override\npublic void run() {}",
        "npm i react@18.2.0 @types/node@20.1.1",
        "x = a @ b.T",
        "systemctl status getty@tty1.service",
        "icon@2x.png",
        "git clone git@github.com:acme/site.git",
        "uses: actions/checkout@v4.1.0",
        "class sk-folding-cube-loading-spinner {}",
        "AKIA is how AWS key ids begin; sk- is OpenAI's",
        "SKIP_VALIDATION ACCOUNT_TASK ACCESS",
        "const SG = require('sg'); SG.client.api.v3",
        'hf_hub_download(repo_id="x")',
        "npm_config_registry=x npm_lifecycle_event=build",
        "https://host:8080/path",
        "redis://localhost:6379/0",
        "postgres://user:password@localhost/db",
        "postgres://${USER}:${PASS}@host/db",
        "https://<user>:<token>@github.com/x",
        "the header is Authorization: Bearer <token>",
        "Bearer authentication is required",
        "Authorization: Bearer $TOKEN",
        'curl -H "Authorization: Bearer ${API_TOKEN}" url',
        'password_regex = "^[a-z0-9]{8,}$"',
        'auth_type: "oauth2"',
        'api_key_header = "X-API-Key"',
        'hashlib.new("sha256")',
    ]


def _prose() -> list[str]:
    return [
        "The password is required and has to have at least 8 characters.",
        "Your password is too short.",
        "What is a secret key in cryptography?",
        "The token is invalid after 3600 seconds.",
        "How do I reset my root password on Ubuntu 22.04?",
        "Passwords: never reuse them.",
        "A token is about 4 characters of English text.",
        "The key is to practise every day.",
        "The secret is out: we move in 2025.",
        "Use a passphrase of six words.",
        "API keys: create one in the dashboard, then copy it.",
        "My password manager is 1Password.",
        "The context window is 128k tokens, output is 4096 tokens.",
        "Token limit: 8192",
        "Set the password to something that you remember.",
        "Basic knowledge12 of authentication",
        "Between 10 and 12 people call 3 times a day.",
        "Tweet @someone about it, or mention @team.",
        "He said: meet me @ 10.30 tomorrow",
        "The email field is user@host without a domain.",
        "In chapter 12, pages 345-367, see also 371-372.",
        "It was 1984, 1 200 people came and 3 000 left.",
        "credentials: see the vault",
        "secret: none",
        "The password is base64 encoded.",
    ]


def _addresses() -> list[str]:
    return [
        "Write to user@example.com.",
        "admin@example.org, test@sub.example.net",
        "joe@localhost",
        "dev@machine.test",
        "a@b.invalid",
        "curl https://example.com/api?x=1",
        "127.0.0.1:8080 and 0.0.0.0",
        "mask 255.255.255.0",
        "the documentation network 192.0.2.17",
        "2001:db8::1 in an example",
        "[::1]:8080",
        "mutt 1.14.6.2 release",
    ]


def _documents(seed: int) -> list[str]:
    f = Fakes(seed)
    return [
        f"ID3 {f.chars(ALNUM, 24)}",
        f"video https://youtu.be/{f.chars(ALNUM, 11)}",
        f"gist.github.com/acme/{f.chars(HEX, 32)}",
        f"https://docs.google.com/document/d/{f.chars(ALNUM, 44)}/edit",
        f"session {f.chars(HEX, 16)} opened",
        f"arn:aws:iam::{f.digits(12)}:role/app",
        f"projects/{f.digits(12)}/locations/eu",
        f'class="css-{f.chars(ALNUM, 6)} {f.chars(ALNUM, 5)}"',
        f"chunk.{f.chars(HEX, 20)}.js",
        f"container {f.chars(HEX, 12)}",
    ]
