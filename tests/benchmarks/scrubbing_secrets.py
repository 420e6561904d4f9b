"""The secrets of the labelled set: API keys, passwords and the like, private keys."""

from __future__ import annotations

import base64
import string
from collections.abc import Iterator

from hybrid_coordinator.scrubbing import Kind
from tests.benchmarks.scrubbing_samples import ALNUM, HEX, URL_SAFE, Fakes, Sample, sample


def secrets(seed: int) -> list[Sample]:
    """Texts with secrets in them."""
    fakes = Fakes(seed)
    return [
        *_api_keys(fakes),
        *_api_keys_in_passing(fakes),
        *_credentials(fakes),
        *_credentials_in_prose(fakes),
        *_private_keys(fakes),
    ]


def _api_keys(f: Fakes) -> Iterator[Sample]:
    """One text for each vendor's form."""
    for template, key in (
        ("OPENAI_API_KEY={}\n", "sk-proj-" + f.chars(URL_SAFE, 120) + "a"),
        (
            "openai.api_key = '{}'",
            "sk-" + f.chars(ALNUM, 20) + "T3Blbk" + "FJ" + f.chars(ALNUM, 20),
        ),
        ("export OPENAI_KEY={}", "sk-svcacct-" + f.chars(URL_SAFE, 80) + "a"),
        ('client = OpenAI(api_key="{}")', "sk-" + f.chars(ALNUM, 48)),
        (
            "My Anthropic key is {}, why do I get a 401?",
            "sk-ant-api03-" + f.chars(URL_SAFE, 93) + "AA",
        ),
        ("x-api-key: {}", "sk-ant-admin01-" + f.chars(URL_SAFE, 93) + "AA"),
        (
            "curl -H 'Authorization: Bearer {}' https://openrouter.ai/api/v1/models",
            "sk-or-v1-" + f.chars(HEX, 64),
        ),
        ("git clone https://{}@github.com/acme/site.git", "ghp_" + f.chars(ALNUM, 36)),
        ("GH_TOKEN: {}", "gho_" + f.chars(ALNUM, 36)),
        ("::add-mask::{}", "ghs_" + f.chars(ALNUM, 36)),
        (
            'token = "{}"  # fine-grained',
            "github_pat_" + f.chars(ALNUM, 22) + "_" + f.chars(ALNUM, 59),
        ),
        ("aws_access_key_id = {}", "AKIA" + f.chars(string.ascii_uppercase + "234567", 16)),
        (
            "The role gave me {} as temporary key.",
            "ASIA" + f.chars(string.ascii_uppercase + "234567", 16),
        ),
        ('aws_secret_key = "{}"', f.chars(ALNUM + "/+", 38) + "a1"),
        ("SLACK_BOT_TOKEN={}", f"xoxb-{f.digits(12)}-{f.digits(13)}-{f.chars(ALNUM, 24)}"),
        (
            "slack says invalid_auth for {}",
            f"xoxp-{f.digits(12)}-{f.digits(12)}-{f.digits(12)}-{f.chars(HEX, 32)}",
        ),
        (
            "app_token: {}",
            f"xapp-1-A{f.chars(ALNUM, 10).upper()}-{f.digits(13)}-{f.chars(HEX, 64)}",
        ),
        (
            "webhook {} posts into #ops",
            "https://hooks.slack"
            + f".com/services/T{f.chars(ALNUM, 8).upper()}"
            + f"/B{f.chars(ALNUM, 10).upper()}/{f.chars(ALNUM, 24)}",
        ),
        (
            '<script src="https://maps.googleapis.com/maps/api/js?key={}">',
            "AIza" + f.chars(URL_SAFE, 34) + "a",
        ),
        ('{"client_secret":"{}"}', "GOCSPX-" + f.chars(URL_SAFE, 27) + "a"),
        ("access_token={}&expires_in=3599", "ya29." + f.chars(URL_SAFE, 120) + "a"),
        ('stripe.api_key = "{}"', "sk_live_" + f.chars(ALNUM, 24)),
        ("STRIPE_KEY={}", "rk_live_" + f.chars(ALNUM, 99)),
        ("stripe.setApiKey('{}')", "sk_test_" + f.chars(ALNUM, 32)),
        ("endpoint_secret = '{}'", "whsec_" + f.chars(ALNUM, 32)),
        ("Cookie: session={}; Path=/", f.jwt()),
        ("I decoded {} and the claims look wrong", f.jwt()),
        ("//registry.npmjs.example/:_authToken={}", "npm_" + f.chars(ALNUM, 36)),
        ("NPM_TOKEN: {}", "npm_" + f.chars(ALNUM, 36)),
        ("huggingface-cli login --token {}", "hf_" + f.chars(ALNUM, 34)),
        ("HF_TOKEN={}", "hf_" + f.chars(ALNUM, 34)),
        (
            "git remote set-url origin https://oauth2:{}@gitlab.com/a/b.git",
            "glpat-" + f.chars(URL_SAFE, 19) + "a",
        ),
        ("runner register --token {}", "glrt-" + f.chars(URL_SAFE, 19) + "a"),
        ("password = {}", "pypi-AgEIcHlwaS5vcmc" + f.chars(URL_SAFE, 120) + "a"),
        ("SENDGRID_API_KEY='{}'", f"SG.{f.chars(ALNUM, 22)}.{f.chars(ALNUM, 43)}"),
        ('client = Client("AC…", api_key_sid="{}")', "SK" + f.chars(HEX, 32)),
        ("bot = telebot.TeleBot('{}')", f"1{f.digits(9)}:AA{f.chars(URL_SAFE, 32)}a"),
        (
            "discord bot.run('{}')",
            f"MT{f.chars(ALNUM, 22)}.{f.chars(ALNUM, 6)}.{f.chars(ALNUM, 27)}",
        ),
        ("mailchimp key {}", f.chars(HEX, 32) + "-us14"),
        (
            "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={};EndpointSuffix=core",
            f.chars(ALNUM + "+/", 86) + "==",
        ),
        ("GROQ_API_KEY={}", "gsk_" + f.chars(ALNUM, 52)),
        ("XAI_KEY={}", "xai-" + f.chars(ALNUM, 80)),
        ("doctl auth init -t {}", "dop_v1_" + f.chars(HEX, 64)),
        ("X-Shopify-Access-Token: {}", "shpat_" + f.chars(HEX, 32)),
        ("vault login {}", "hvs." + f.chars(URL_SAFE, 94) + "a"),
        ("grafana: {}", f"glsa_{f.chars(ALNUM, 32)}_{f.chars(HEX, 8)}"),
        ("databricks token {}", "dapi" + f.chars(HEX, 32)),
        ("docker login -u me -p {}", "dckr_pat_" + f.chars(URL_SAFE, 26) + "a"),
        ("cargo login {}", "cio" + f.chars(ALNUM, 32)),
        ("sops age key: {}", "AGE-SECRET-KEY-1" + f.chars("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58)),
        ("tailscale up --authkey={}", f"tskey-auth-{f.chars(ALNUM, 12)}CNTRL-{f.chars(ALNUM, 32)}"),
        ("jira api token {}", "ATATT3" + f.chars(URL_SAFE, 180) + "a"),
    ):
        yield sample(Kind.API_KEY, template, key)


def _api_keys_in_passing(f: Fakes) -> Iterator[Sample]:
    """The commonest forms in the places where people leave them."""
    openai, github, google = (
        "sk-proj-" + f.chars(URL_SAFE, 100) + "a",
        "ghp_" + f.chars(ALNUM, 36),
        "AIza" + f.chars(URL_SAFE, 34) + "a",
    )
    for template, *keys in (
        ("Error: Incorrect API key provided: {}. You can find your key in the dashboard.", openai),
        (
            "Traceback:\n  File \"a.py\", line 3\n    headers={'x-goog-api-key': '{}'}\n",
            google,
        ),
        ("```yaml\nenv:\n  - name: TOKEN\n    value: {}\n```", github),
        ("2026-01-02T10:00:00Z WARN auth retry token={} attempt=3", github),
        ('{"role":"user","content":"please debug: key={}\\n"}', openai),
        ("docker run -e OPENAI_API_KEY={} -p 8080:8080 acme/app", openai),
        ("first {} and then {}", openai, github),
        ("({})", google),
        ("key:{};other:1", github),
        ("ключ {} не работает", openai),
    ):
        yield sample(Kind.API_KEY, template, *keys)


def _credentials(f: Fakes) -> Iterator[Sample]:
    """Assignments in code, configuration, environment files, logs and URLs."""
    strong = [f.chars(ALNUM + "!#%+", 14) for _ in range(40)]
    long = [f.chars(ALNUM, 32) for _ in range(12)]
    for template, value in (
        ("DB_PASSWORD={}\nDB_HOST=db\n", strong[0]),
        ("POSTGRES_PASSWORD={}", "correct" + "horse"),
        ("SECRET_KEY={}", long[0]),
        ("export MYSQL_PWD={}", strong[1]),
        ("DJANGO_SECRET_KEY='{}'", strong[2] + strong[3] + "x"),
        ('password = "{}"', "hunter" + "2"),
        ('password: str = "{}"', strong[4]),
        ('val password: String = "{}"', strong[5]),
        ("conn = connect(host='db', user='app', password='{}')", strong[6]),
        ('"password": "{}",', strong[7]),
        ("'db_pass' => '{}',", strong[8]),
        ('password := "{}"', strong[9]),
        ("const apiKey = '{}';", long[1]),
        ("api_key: {}", long[2]),
        ("API-Key: {}", long[3]),
        ("spring.datasource.password={}", strong[10]),
        ("    password: {}\n    user: app\n", strong[11]),
        ("[client]\nuser = root\npassword = {}\n", "s3cr" + "3tp4ss"),
        ("<password>{}</password>", strong[12]),
        ('<add key="ApiKey" value="{}" />', long[4]),
        ("Server=db;User Id=app;Password={};Encrypt=true", f.chars(ALNUM, 14)),
        ("postgres://app:{}@db.internal:5432/app", f.chars(ALNUM, 16)),
        ("redis://:{}@cache:6379/0", f.chars(ALNUM, 16)),
        ("https://admin:{}@wiki.acme.io/page", "tr0ub" + "4dor!"),
        ("amqp://guest2:{}@rabbit/", f.chars(ALNUM, 12)),
        ("mongodb+srv://root:{}@cluster0.mongodb.net", f.chars(ALNUM, 12)),
        ("Authorization: Bearer {}", f.chars(ALNUM, 40)),
        ("authorization: Basic {}", base64.b64encode(f"joe:{strong[13]}".encode()).decode()),
        ('-H "Authorization: Token {}"', f.chars(HEX, 40)),
        ("fetch(url, {headers: {Authorization: `Bearer {}`}})", f.chars(URL_SAFE, 48) + "a"),
        ("machine api.acme.io login joe password {}", strong[14]),
        ("mysqldump --password={} app", f.chars(ALNUM, 12)),
        ("restic --password {} backup", f.chars(ALNUM, 12)),
        ("curl -u joe:{} https://acme.io/x", f.chars(ALNUM, 12)),
        ("aws_secret_access_key = {}", f.chars(ALNUM + "/+", 38) + "a1"),
        ("AWS_SECRET_ACCESS_KEY={}", f.chars(ALNUM + "/+", 38) + "a1"),
        ("client_secret={}&grant_type=client_credentials", f.chars(ALNUM, 40)),
        ('"access_token": "{}"', f.chars(ALNUM, 44)),
        ("refresh_token: {}", f.chars(URL_SAFE, 44) + "a"),
        ('ENCRYPTION_KEY: "{}"', f.chars(HEX, 64)),
        ("jwt_secret = '{}'", f.chars(ALNUM, 24)),
        ('{\\"password\\": \\"{}\\"}', f.chars(ALNUM, 12)),
        ("2026-03-01 login failed user=joe password={} ip=-", f.chars(ALNUM, 12)),
        ('variable "db_password" { default = "x" }\ndb_password = "{}"', strong[15]),
        ("AUTH_TOKEN={}", f.chars(ALNUM, 36)),
        ("requirepass {}", f.chars(ALNUM, 20)),
        ("wpa_passphrase={}", f.chars(ALNUM, 16)),
        ("if password == '{}':", strong[16]),
        ("smtp.login('joe', password=\"{}\")", strong[17]),
        ('setPassword("{}")', f.chars(ALNUM, 12)),
        ('sshpass: {"passphrase": "{}"}', strong[18]),
        ("webhook_secret: '{}'", f.chars(HEX, 40)),
    ):
        yield sample(Kind.CREDENTIAL, template, value)


def _credentials_in_prose(f: Fakes) -> Iterator[Sample]:
    """What people write to an assistant."""
    one, two = f.chars(ALNUM, 10), f.chars(ALNUM + "!#", 12) + "7"
    for template, *values in (
        ("My password is {} and it does not work any more.", one),
        ("the wifi password: {}", two),
        ("Please log in with user joe, password {0}? No: the password is {0}", one),
        ("The API key is {}, can you write me the request?", f.chars(ALNUM, 32)),
        ("use token: {}", f.chars(ALNUM, 32)),
        ("I set the admin password to {} yesterday", one),
        ("Passwort: {}", two),
        ("the secret is `{}`", f.chars(ALNUM, 24)),
        ('the password was "{}" before', two),
        ("My password is {0}. When I type {0} it says wrong.", "Tr0ub" + "4dor99"),
    ):
        yield sample(Kind.CREDENTIAL, template, *values)


def _private_keys(f: Fakes) -> Iterator[Sample]:
    """Whole, in other clothes, and cut off."""
    for name in (
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
    ):
        yield sample(
            Kind.PRIVATE_KEY, "Here is my key:\n{}\nWhat is wrong with it?", f.pem(name, 6)
        )
    yield sample(Kind.PRIVATE_KEY, 'key = "{}"', f.pem("PRIVATE KEY", 5).replace("\n", "\\n"))
    yield sample(
        Kind.PRIVATE_KEY,
        '{"private_key": "{}\\n", "x": 1}',
        f.pem("PRIVATE KEY", 9).replace("\n", "\\n"),
    )
    yield sample(
        Kind.PRIVATE_KEY, "data: |\n  {}\nend: 1", f.pem("RSA PRIVATE KEY", 8).replace("\n", "\n  ")
    )
    yield sample(Kind.PRIVATE_KEY, "{}", f.pem("RSA PRIVATE KEY", 12).rpartition("\n")[0][:-40])
    yield sample(Kind.PRIVATE_KEY, "cut: {}", f.pem("EC PRIVATE KEY", 3)[:150])
    tail = f.pem("PRIVATE KEY", 6).partition("\n")[2]
    yield sample(Kind.PRIVATE_KEY, "…\n{}\nthat was it", tail)
    headed = f.pem("RSA PRIVATE KEY", 4).replace(
        "-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0011\n\n", 1
    )
    yield sample(Kind.PRIVATE_KEY, "see {} there", headed)
    armour = f.pem("PGP PRIVATE KEY BLOCK", 7).replace("-----\n", "-----\nVersion: GnuPG v2\n\n", 1)
    yield sample(Kind.PRIVATE_KEY, "mail\n{}\nbye", armour)
    yield sample(
        Kind.PRIVATE_KEY, "two\n{}\nand\n{}\n", f.pem("PRIVATE KEY", 3), f.pem("EC PRIVATE KEY", 2)
    )
    putty = (
        "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nPrivate-Lines: 1\n"
        + f.chars(ALNUM, 64)
        + "\nPrivate-MAC: "
        + f.chars(HEX, 64)
    )
    yield sample(Kind.PRIVATE_KEY, "{}\n", putty)
