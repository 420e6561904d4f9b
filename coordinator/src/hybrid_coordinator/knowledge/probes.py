"""Questions with texts that answer them, from which an unknown embedder's thresholds are derived.

Every question belongs to one text and to no other, so each pair that is not
on one line is a pair of unrelated texts. Written for this purpose; also the
code part of the bundled embedder's calibration.
"""

from __future__ import annotations

from typing import Final

PROSE: Final[tuple[tuple[str, str], ...]] = (
    (
        "How do I undo the last commit without losing my changes?",
        "git reset --soft HEAD~1 moves the branch back one commit and keeps the work staged.",
    ),
    (
        "Why does my service start before the network is up?",
        "Order the unit after network-online.target and want it; network.target alone only "
        "orders shutdown.",
    ),
    (
        "What is the safest way to store user passwords?",
        "Hash them with a slow, salted function such as argon2id; never encrypt or store them "
        "plainly.",
    ),
    (
        "How can I make my database query faster?",
        "Look at the plan with EXPLAIN ANALYZE, then add an index on the columns you filter by.",
    ),
    (
        "How do I roll back a NixOS upgrade?",
        "Boot an older generation from the menu, or run nixos-rebuild switch --rollback.",
    ),
    (
        "Which tests should I write first for old code?",
        "Begin with characterisation tests: pin down what the code does now, then change it.",
    ),
    (
        "My container is killed when it uses too much memory. What can I do?",
        "Exit status 137 means the out-of-memory killer; raise the limit or find the leak with a "
        "heap profile.",
    ),
    (
        "How should I name branches in a team?",
        "Use short-lived branches named after the issue, such as 214-fix-login, and delete them "
        "after merging.",
    ),
    (
        "How do I handle time zones in an application?",
        "Keep instants in UTC, convert at the edge, and store the zone's name where local time "
        "matters.",
    ),
    (
        "What does the error 'too many open files' mean?",
        "The process reached its limit of descriptors; raise LimitNOFILE or close sockets that "
        "leak.",
    ),
    (
        "How can two programs share data without locks?",
        "Pass messages over a queue; each piece of data has one owner at a time.",
    ),
    (
        "How long does bread dough need to rise?",
        "About an hour in a warm kitchen, until its volume has doubled; overnight in the fridge.",
    ),
    (
        "How do I review a large change well?",
        "Ask for it in steps that each pass, read the tests first, and comment on design before "
        "style.",
    ),
    (
        "Why is the page slow when I open it for the first time?",
        "A cold cache: nothing is compressed or kept yet; preload fonts and defer scripts.",
    ),
    (
        "How do I rotate the TLS certificate without downtime?",
        "Put the new certificate beside the old one and send the server a reload signal; open "
        "connections stay.",
    ),
    (
        "What vaccinations does a puppy need?",
        "Distemper, parvovirus and hepatitis at eight and twelve weeks, rabies a little later.",
    ),
)

CODE: Final[tuple[tuple[str, str], ...]] = (
    (
        "Where is the retry delay computed?",
        "inference/retry.py\ndef backoff(attempt: int, base: float = 0.2, cap: float = 8.0) -> "
        "float:\n    return random.uniform(0, min(cap, base * 2 ** attempt))",
    ),
    (
        "How are API keys checked?",
        "auth/keys.py\ndef verify(presented: str, known: bytes) -> bool:\n    digest = "
        "hashlib.sha256(presented.encode()).digest()\n    return hmac.compare_digest(digest, "
        "known)",
    ),
    (
        "Which function parses the configuration file?",
        "config/load.py\ndef load_config(path: Path) -> Config:\n    with path.open('rb') as f:\n"
        "        return Config.model_validate(tomllib.load(f))",
    ),
    (
        "How do we open a connection to Postgres?",
        "db/pool.go\nfunc Open(ctx context.Context, dsn string) (*pgxpool.Pool, error) {\n\tcfg, "
        "err := pgxpool.ParseConfig(dsn)\n\tif err != nil { return nil, err }\n\treturn "
        "pgxpool.NewWithConfig(ctx, cfg)\n}",
    ),
    (
        "Where do we resize uploaded images?",
        "images/thumbnail.py\ndef thumbnail(data: bytes, edge: int) -> bytes:\n    image = "
        "Image.open(BytesIO(data))\n    image.thumbnail((edge, edge))\n    return encode(image)",
    ),
    (
        "How is the sidebar's width remembered?",
        "ui/sidebar.tsx\nconst [width, setWidth] = useState(() => Number(localStorage.getItem("
        "'sidebar') ?? 240));\nuseEffect(() => localStorage.setItem('sidebar', String(width)), "
        "[width]);",
    ),
    (
        "What limits the number of requests per second?",
        "limits/bucket.rs\npub fn take(&mut self, now: Instant) -> bool {\n    self.tokens = "
        "(self.tokens + now.duration_since(self.last).as_secs_f64() * self.rate).min(self.burst);\n"
        "    self.last = now;\n    if self.tokens < 1.0 { return false; }\n    self.tokens -= 1.0; "
        "true\n}",
    ),
    (
        "Where is an e-mail sent after sign-up?",
        "accounts/signup.rb\ndef create\n  user = User.create!(params)\n  "
        "WelcomeMailer.with(user: user).greeting.deliver_later\nend",
    ),
    (
        "How do we walk a directory and skip ignored files?",
        "ingest/walk.py\ndef walk(root: Path, spec: PathSpec) -> Iterator[Path]:\n    for path in "
        "sorted(root.rglob('*')):\n        if path.is_file() and not "
        "spec.match_file(str(path.relative_to(root))):\n            yield path",
    ),
    (
        "Which module option turns the firewall on?",
        "modules/firewall.nix\noptions.networking.firewall.enable = lib.mkOption {\n  type = "
        'lib.types.bool;\n  default = true;\n  description = "Whether to filter packets.";\n};',
    ),
    (
        "How is the shopping cart's total calculated?",
        "cart/total.ts\nexport const total = (lines: Line[], vat: number) =>\n  "
        "lines.reduce((sum, l) => sum + l.price * l.quantity, 0) * (1 + vat);",
    ),
    (
        "Where do we merge two sorted lists?",
        "lib/merge.c\nstruct node *merge(struct node *a, struct node *b) {\n  if (!a) return b;\n  "
        "if (!b) return a;\n  if (a->key <= b->key) { a->next = merge(a->next, b); return a; }\n  "
        "b->next = merge(a, b->next); return b;\n}",
    ),
)
