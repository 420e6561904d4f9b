"""The second half of the labelled set: written after the finders, and scored before any change.

Its first figures are what to expect of text that nobody had in mind; they are
in the documentation. Values are made at run time as in ``scrubbing_samples``.
"""

from __future__ import annotations

import string

from hybrid_coordinator.scrubbing import Kind
from tests.benchmarks.scrubbing_samples import ALNUM, HEX, URL_SAFE, Fakes, Sample, sample


def held_out_positives(seed: int) -> list[Sample]:
    """Texts with something to replace."""
    f = Fakes(seed)
    one, two, three = f.chars(ALNUM, 11), f.chars(ALNUM + "!$^", 13) + "4", f.chars(ALNUM, 40)
    openai, github = "sk-proj-" + f.chars(URL_SAFE, 110) + "a", "ghp_" + f.chars(ALNUM, 36)
    upper = string.ascii_uppercase + "234567"
    at = "@"
    credential, key = Kind.CREDENTIAL, Kind.API_KEY
    return [
        sample(
            credential, "ok so the login is admin / {} on the staging box, password {}", one, one
        ),
        sample(credential, "docker run -e MYSQL_ROOT_PASSWORD={} mysql:8", one),
        sample(credential, "environment:\n  - POSTGRES_PASSWORD={}\n  - POSTGRES_USER=app", two),
        sample(credential, "jdbc:mysql://db:3306/app?user=app&password={}&useSSL=false", one),
        sample(credential, "kubectl create secret generic db --from-literal=password={}", one),
        sample(credential, 'services.db.passwordHash = "x";\n  password = "{}";', two),
        sample(credential, "$config['db']['password'] = '{}';", two),
        sample(credential, 'ENV["SECRET_TOKEN"] = "{}"', three),
        sample(credential, "ALTER USER app WITH PASSWORD '{}';", one),
        sample(credential, "CREATE USER 'app'@'%' IDENTIFIED BY '{}'; -- password", two),
        sample(credential, "ansible_become_pass: {}", two),
        sample(credential, "sshpass -p '{}' ssh root@host  # password", one),
        sample(credential, "_auth = {}", f.chars(ALNUM, 30) + "=="),
        sample(credential, "app.config['SECRET_KEY'] = '{}'", f.chars(ALNUM, 24)),
        sample(credential, "requests.get(url, auth=('joe', '{}'))  # password", one),
        sample(credential, "X-Auth-Token: {}", f.chars(HEX, 32)),
        sample(credential, "X-API-KEY: {}", f.chars(ALNUM, 40)),
        sample(credential, "Here are my creds: user: joe pass: {}", one),
        sample(credential, "pw: {}", two),
        sample(credential, "Mein Passwort lautet {} und es geht nicht", one),
        sample(credential, "mot de passe : {}", one),
        sample(credential, "wifi key is {}", f.chars(ALNUM, 12)),
        sample(
            credential,
            'terraform: access_key = "x" secret_key = "{}"',
            f.chars(ALNUM + "/+", 38) + "a1",
        ),
        sample(credential, "ftp://joe:{}@ftp.acme.io/up", two),
        sample(credential, "https://api.acme.io/v1?api_key={}", three),
        sample(credential, "https://api.acme.io/v1?access_token={}&x=1", three),
        sample(credential, "Cookie: auth_token={}; theme=dark", three),
        sample(credential, '{"apiKey":"{}","model":"x"}', f.chars(ALNUM, 32)),
        sample(credential, "openssl enc -aes-256-cbc -pass pass:{}", one),
        sample(credential, 'bearer_token: "{}"', three),
        sample(key, "I pasted {} into the chat, is that bad?", openai),
        sample(key, "OPENAI_API_KEY = {} # mine", openai),
        sample(key, '"env": {"GITHUB_TOKEN": "{}"}', github),
        sample(key, "url = https://joe:{}@github.com/acme/x", github),
        sample(key, "AWS_ACCESS_KEY_ID={}", "AKIA" + f.chars(upper, 16)),
        sample(key, "credentials:\n    accessKeyId: {}", "AKIA" + f.chars(upper, 16)),
        sample(key, "Authorization: Bearer {}", f.jwt()),
        sample(key, "localStorage.jwt = '{}'", f.jwt()),
        sample(
            key,
            "https://api.telegram.org/bot{}/getMe",
            f"7{f.digits(9)}:AA{f.chars(URL_SAFE, 32)}a",
        ),
        sample(key, "genai.configure(api_key='{}')", "AIza" + f.chars(URL_SAFE, 34) + "b"),
        sample(key, 'STRIPE_SECRET_KEY="{}"', "sk_live_51" + f.chars(ALNUM, 97)),
        sample(key, "hf = HfApi(token='{}')", "hf_" + f.chars(ALNUM, 34)),
        sample(key, "CI_JOB_TOKEN {} expired", "glcbt-64_" + f.chars(URL_SAFE, 19) + "a"),
        sample(key, "TWILIO_ACCOUNT_SID={}", "AC" + f.chars(HEX, 32)),
        sample(Kind.PRIVATE_KEY, "cat id_rsa\n{}\n$ ", f.pem("OPENSSH PRIVATE KEY", 20)),
        sample(Kind.PRIVATE_KEY, "> {}\n> bye", f.pem("PRIVATE KEY", 4).replace("\n", "\n> ")),
        sample(Kind.PRIVATE_KEY, "TLS_KEY='{}'", f.pem("EC PRIVATE KEY", 3).replace("\n", " ")),
        sample(
            Kind.EMAIL, "Hi,\n\nmy account {} is locked.\n\nThanks\nAnna", f"anna.k{at}posteo.de"
        ),
        sample(Kind.EMAIL, "git log: Joe Doe <{}> 1700000000 +0100", f"joe{at}kernel.org"),
        sample(Kind.EMAIL, "user.email={}", f"me{at}joe.me.uk"),
        sample(Kind.EMAIL, "https://acme.io/reset?email={}&t=1", f"ann{at}acme.io"),
        sample(Kind.EMAIL, "to: '{}','{}'", f"a1{at}acme.eu", f"b2{at}acme.eu"),
        sample(Kind.PHONE, "you can reach me under {}", "+49 171 234" + "5678"),
        sample(Kind.PHONE, "Tel. {}", "+49 (0)30 901" + "820"),
        sample(Kind.PHONE, "T: {} | F: none", "+1-650-253-" + "0000"),
        sample(Kind.PHONE, "Our office: {}.", "(650) 253-" + "0000"),
        sample(Kind.PHONE, "phone_number: '{}'", "+31201234" + "567"),
        sample(Kind.PHONE, "Rückruf bitte unter {}", "0171/234" + "5678"),
        sample(Kind.PHONE, "customer {} complained", "650-253-" + "0000"),
        sample(Kind.CARD, "charge {} failed: card declined", f.card("4", 16)),
        sample(Kind.CARD, "number: '{}',", f.card("53", 16)),
        sample(Kind.CARD, "paid with {} today", f.card("37", 15)),
        sample(Kind.IP_ADDRESS, "client {} port 5432", ".".join(("78", "47", "12", "201"))),
        sample(Kind.IP_ADDRESS, "ssh joe@{} -p 2222", ".".join(("10", "20", "30", "40"))),
        sample(Kind.IP_ADDRESS, "remote_addr={}", "2a01:4f8:c0c:" + "1234::1"),
    ]


def held_out_negatives(seed: int) -> list[Sample]:
    """Texts with nothing to replace."""
    f = Fakes(seed)
    texts = [
        "How can I store a password safely in Postgres 16?",
        "error: secret 'db-password' not found in namespace prod2",
        'password authentication failed for user "app1"',
        "passwd: password unchanged",
        "token: invalid, expected '}' at line 12",
        "SyntaxError: Unexpected token '<', \"<!DOCTYPE \"... is not valid JSON",
        "Error: unexpected token: 0x1f at position 34",
        "the secret to good bread is 24h of rest",
        'api_key=os.getenv("OPENAI_API_KEY")',
        "const { password, ...rest } = user2;",
        "password=$(cat /run/secrets/pw1)",
        "--password-stdin --username joe1",
        "--token $GITHUB_TOKEN",
        "env: {TOKEN: ${{ secrets.GITHUB_TOKEN }}}",
        "apiKey: process.env.API_KEY1,",
        "key: value1, key2: value2",
        'print(f"token={token!r}")',
        "secret_key_base: <%= ENV['SECRET_KEY_BASE'] %>",
        "assert token == expected_token2",
        "num_tokens_per_second: 42.5tok",
        "services.openssh.settings.PasswordAuthentication = false;",
        'sops.secrets."db/password1".owner = "app";',
        "password = lib.mkOption { type = types.str; };",
        "PermitRootLogin prohibit-password",
        "auth sufficient pam_unix.so nullok try_first_pass",
        "2026-02-01 10:11:12,345 INFO [main-1] took 1234567890 ns",
        "eth0: 00:1a:2b:3c:4d:5e mtu 1500",
        "The year 2000-2001 and 1999-2000 seasons, 555-1234 people",
        "scores: 10-12, 11-13, 100-200-300",
        "bytes 0-1023/146515",
        "ports 8000-8010,9000-9100",
        "C:\\Users\\joe\\file_20240115_123456.txt",
        "kernel 6.1.0-18-amd64 #1 SMP 6.1.76-1",
        "model gpt-4o-2024-08-06, claude-3-5-sonnet-20241022",
        "qwen2.5-coder-32b-instruct-q4_k_m.gguf",
        "CVE-2024-3094 and GHSA-xxxx-yyyy",
        "torch.Size([1, 4096, 14336]) 3.4028234663852886e+38",
        "a1b2c3d4-0000-1111-2222-333344445555",
        f"s3://bucket/{f.chars(HEX, 40)}/x",
        f"https://open.spotify.com/track/{f.chars(ALNUM, 22)}",
        f"Set-Cookie: theme=dark; id={f.digits(8)}",
        f"blob:{f.chars(HEX, 64)}",
        "@media (max-width: 600px) {}",
        "npx create-next-app@14.2.3",
        "@angular/core@17.0.0 requires zone.js@~0.14.0",
        "user@host:~$ ls",
        'ssh-keygen -t ed25519 -C "you@example.com"',
        "Bearer tokens are defined in RFC 6750",
        "Use basic authentication or OAuth2",
        "http://user@host/ has a user without a password",
    ]
    return [Sample(text) for text in texts]
