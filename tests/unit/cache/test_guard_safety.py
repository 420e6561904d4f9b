"""Pairs of questions that must never share an answer, by the rule that keeps them apart.

Lesson 17: a question that differed by a negation, a number or an identifier got the other's
answer. Each pair is judged at a similarity of 1, so that nothing but a rule can refuse it, and
both ways round. Hand-written, of the kind that is asked of a technical assistant.
"""

from __future__ import annotations

import pytest

from hybrid_coordinator.cache.guard import Guard

EMBEDDER = "all-MiniLM-L6-v2-int8"

NUMBERS = """
What is new in Python 3.11? | What is new in Python 3.12?
What is new in Python 3.1? | What is new in Python 3.10?
What is new in Python 3? | What is new in Python 2?
What is new in Python3? | What is new in Python2?
What is new in NixOS 24.05? | What is new in NixOS 25.05?
How do I open port 80? | How do I open port 8080?
What does HTTP status 401 mean? | What does HTTP status 403 mean?
How do I keep the last 5 generations? | How do I keep the last 10 generations?
How do I keep the last five generations? | How do I keep the last ten generations?
How do I keep the last five generations? | How do I keep the last generations?
How do I use two monitors? | How do I use three monitors?
How do I get the first line of a file? | How do I get the second line of a file?
How do I get the 3rd column with awk? | How do I get the 4th column with awk?
How do I allocate 5 GB of swap? | How do I allocate 5 MB of swap?
How do I allocate 5GB of swap? | How do I allocate 5GiB of swap?
How do I sleep for 10 seconds in bash? | How do I sleep for 10 minutes in bash?
How do I sleep for 10s in bash? | How do I sleep for 10ms in bash?
How do I set a timeout of 1.5 seconds? | How do I set a timeout of 15 seconds?
What happened on 2024-01-02? | What happened on 2024-02-01?
What happened in March 2023? | What happened in March 2024?
How do I count from 1 to 10? | How do I count from 10 to 1?
How much is $100 in yen? | How much is €100 in yen?
How much is 100 dollars? | How much is 1000 dollars?
How many bytes are in 2k? | How many bytes are in 2m?
Who won World War I? | Who won World War II?
What is sha1? | What is sha256?
How do I convert mp3 files? | How do I convert mp4 files?
Is HTTP/2 supported? | Is HTTP/3 supported?
What is IPv4? | What is IPv6?
How do I parse -1 in argparse? | How do I parse -2 in argparse?
How do I resize an image to 50%? | How do I resize an image to 50px?
What does exit code 0 mean? | What does exit code 1 mean?
How do I get twenty-five rows? | How do I get twenty-six rows?
How do I chmod 644 a file? | How do I chmod 755 a file?
"""

LITERALS = """
What does `ls -l` do? | What does `ls -a` do?
What does ls -l do? | What does ls -a do?
What does grep -v do? | What does grep -V do?
What does rm --force do? | What does rm --recursive do?
What does rm -r do? | What does rm do?
What does getUserName return? | What does getUserId return?
What does getName return? | What does GetName return?
What does get_name return? | What does set_name return?
What does os.path.join do? | What does os.path.split do?
What does list.append() do? | What does list.extend() do?
What is in /etc/passwd? | What is in /etc/shadow?
What is in ~/.bashrc? | What is in ~/.profile?
How do I edit nix/configuration.nix? | How do I edit nix/hardware.nix?
What is at https://nixos.org/manual? | What is at https://nixos.org/learn?
Who reads admin@example.org? | Who reads root@example.org?
What does "segmentation fault" mean? | What does "bus error" mean?
What does 'permission denied' mean? | What does 'no such file' mean?
What does a == b test? | What does a === b test?
What does a && b do in bash? | What does a || b do in bash?
What does a < b return? | What does a > b return?
What does x += 1 do? | What does x -= 1 do?
What does $HOME hold? | What does $PATH hold?
What does @staticmethod do? | What does @classmethod do?
What does #include do? | What does #define do?
What does services.nginx.enable do? | What does services.nginx.package do?
What does boot.loader.grub do? | What does boot.loader.timeout do?
What does __init__ do? | What does __new__ do?
What does std::move do? | What does std::swap do?
What does ```rm -rf build``` do? | What does ```rm -rf dist``` do?
What does .gitignore do? | What does .gitattributes do?
What does MAX_PATH limit? | What does MAX_ARG limit?
What does useState do? | What does useEffect do?
What does C++ add? | What does C add?
What does ∑ mean? | What does ∏ mean?
"""

NEGATIONS = """
What is NixOS? | What is not NixOS?
What is NixOS? | What isn't NixOS?
What is NixOS? | what isnt nixos
Why does my service start? | Why doesn't my service start?
Why does my service start? | Why does my service never start?
Can I run Docker as root? | Can I not run Docker as root?
How can I build with sandboxing? | How can I build without sandboxing?
Should I use a global variable? | Should I never use a global variable?
Which shells are POSIX compliant? | Which shells are not POSIX compliant?
Is Redis persistent? | Isn't Redis persistent?
Which tables have an index? | Which tables have no index?
Why can I connect to the database? | Why can't I connect to the database?
Why can I connect to the database? | Why can I hardly connect to the database?
Why will git merge this? | Why won't git merge this?
Why does the build succeed? | Why does the build fail to succeed?
Which requests are cached? | Which requests aren't cached?
What happens if the key exists? | What happens if the key does not exist?
Which users have a password? | Which users lack a password?
Who can read the store? | Who cannot read the store?
When do I need a flake? | When don't I need a flake?
Should I use rebase? | Should I use merge instead of rebase?
Delete all files with the suffix tmp | Delete all files except the suffix tmp
"""

OPPOSITES = """
How do I enable dark mode? | How do I disable dark mode?
enable dark mode | disable dark mode
How do I open a port in the firewall? | How do I close a port in the firewall?
How do I increase the heap size? | How do I decrease the heap size?
How do I start a systemd service? | How do I stop a systemd service?
How do I install a package? | How do I uninstall a package?
How do I install a package? | How do I remove a package?
What runs before the build phase? | What runs after the build phase?
What is the minimum key length? | What is the maximum key length?
What does min return? | What does max return?
How do I import a database? | How do I export a database?
How do I upload a file with curl? | How do I download a file with curl?
How do I mount a disk? | How do I unmount a disk?
How do I lock a row? | How do I unlock a row?
How do I encrypt a file? | How do I decrypt a file?
How do I encode base64? | How do I decode base64?
How do I compress a folder? | How do I decompress a folder?
How do I serialize an object? | How do I deserialize an object?
How do I push to a branch? | How do I pull from a branch?
How do I grant a privilege? | How do I revoke a privilege?
How do I allow an address? | How do I block an address?
How do I allow an address? | How do I deny an address?
How do I show hidden files? | How do I hide hidden files?
How do I upgrade nixpkgs? | How do I downgrade nixpkgs?
How do I commit a transaction? | How do I roll back a transaction without a commit?
How do I sort in ascending order? | How do I sort in descending order?
Is a list mutable? | Is a list immutable?
Is this certificate valid? | Is this certificate invalid?
How do I connect the VPN? | How do I disconnect the VPN?
How do I attach a volume? | How do I detach a volume?
How do I include a header? | How do I exclude a header?
How do I read a file? | How do I write a file?
How do I add a column? | How do I drop a column?
What are the advantages of microservices? | What are the disadvantages of microservices?
What are the pros of microservices? | What are the cons of microservices?
Which is the fastest shell? | Which is the slowest shell?
How do I make a repository public? | How do I make a repository private?
How do I run it synchronously? | How do I run it asynchronously?
How do I log in to the registry? | How do I log out of the registry?
How do I turn on the firewall? | How do I turn off the firewall?
How do I undo a commit? | How do I redo a commit?
How do I subscribe to a topic? | How do I unsubscribe from a topic?
Is this memory leak harmful? | Is this memory leak harmless?
"""

KINDS = """
How do I set a variable in bash? | How do I set a variable in fish?
How do I install git on Ubuntu? | How do I install git on Fedora?
how do i install git on ubuntu | how do i install git on nixos
How do I read a file in Python? | How do I read a file in Rust?
how do i read a file in java | how do i read a file in javascript
How do I parse JSON? | How do I parse YAML?
How do I create an index in MySQL? | How do I create an index in PostgreSQL?
When do I use a GET request? | When do I use a POST request?
What is a left join? | What is an inner join?
How does TCP work? | How does UDP work?
How does http work? | How does https work?
How do I deploy to AWS? | How do I deploy to Azure?
How do I exit vim? | How do I exit emacs?
What does git merge do? | What does git rebase do?
Should the column be varchar? | Should the column be text?
How do I run it every day? | How do I run it every week?
Is the office open on Monday? | Is the office open on Sunday?
"""

QUESTIONS = """
How does Nix build a package? | Why does Nix build a package?
When was NixOS released? | Where was NixOS released?
Who wrote the Linux kernel? | When did they write the Linux kernel?
How many tables are in the database? | How are tables in the database?
How long does the build take? | How often does the build take?
How old is Python? | How fast is Python?
Where are the logs stored? | Why are the logs stored?
What is a mutex? | Why is a mutex?
What is the reason for a timeout? | How is a timeout?
"""

TENSES = """
What did the release change? | What will the release change?
Where was the conference held? | Where will the conference be held?
How did Rust handle errors? | How will Rust handle errors?
"""

DIRECTIONS = """
How do I convert JSON to YAML? | How do I convert YAML to JSON?
How do I convert a string to an int in Go? | How do I convert an int to a string in Go?
How do I migrate from MySQL to SQLite? | How do I migrate from SQLite to MySQL?
How do I migrate from bash to zsh? | How do I migrate to bash from zsh?
How do I copy from the server to the laptop? | How do I copy from the laptop to the server?
How do I merge main into develop? | How do I merge develop into main?
Is Redis faster than Memcached? | Is Memcached faster than Redis?
How do I call Rust from Python? | How do I call Python from Rust?
How do I make a list of tuples? | How do I make a tuple of lists?
Does the client trust the server? | Does the server trust the client?
Does the parent process kill the child? | Does the child process kill the parent?
How do I run Linux inside Windows? | How do I run Windows inside Linux?
How do I mount the host folder in the guest? | How do I mount the guest folder in the host?
How do I use bash and not zsh? | How do I use zsh and not bash?
How do I replace tabs with spaces? | How do I replace spaces with tabs?
"""

NAMES = """
What is the population of Berlin? | What is the population of Hamburg?
Who is the mayor of São Paulo? | Who is the mayor of Curitiba?
Who is the mayor of Málaga? | Who is the mayor of Córdoba?
What does Prometheus measure? | What does it measure at Grafana?
How do I use Grafana with Prometheus? | How do I use Grafana with Loki?
Who founded Mozilla? | Who founded Canonical?
What is the licence of Redis? | What is the licence of Valkey?
Is there a Nix package for Blender? | Is there a Nix package for Inkscape?
What is the tax rate in Texas? | What is the tax rate?
What is the tax rate in the US? | What is the tax rate in the EU?
How do I log in to Keycloak? | How do I log in to Authelia?
Why does Anna like Nix? | Why does Bob like Nix?
"""

LANGUAGES = """
What is NixOS? | Was ist NixOS?
What is NixOS? | Qu'est-ce que NixOS est pour vous?
What is NixOS? | Что такое NixOS?
What is NixOS? | NixOSとは何ですか
Wie installiere ich das Paket? | Wie entferne ich das Paket?
¿Cómo se instala el paquete? | ¿Cómo se quita el paquete?
"""

TABLES = {
    "number": NUMBERS,
    "literal": LITERALS,
    "negation": NEGATIONS,
    "opposite": OPPOSITES,
    "kind": KINDS,
    "question": QUESTIONS,
    "tense": TENSES,
    "direction": DIRECTIONS,
    "name": NAMES,
    "language": LANGUAGES,
}
ASIDE = {"probability", None}


def pairs(table: str) -> list[tuple[str, str]]:
    lines = [line.rsplit(" | ", 1) for line in table.strip().splitlines()]
    return [(one, other) for one, other in lines]


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard(EMBEDDER, max_error=0.01)


@pytest.mark.parametrize(
    ("rule", "one", "other"),
    [(rule, *pair) for rule, table in TABLES.items() for pair in pairs(table)],
)
def test_a_hard_rule_keeps_the_pair_apart_whatever_the_similarity__lesson_17(
    guard: Guard, rule: str, one: str, other: str
) -> None:
    for asked, cached in ((one, other), (other, one)):
        verdict = guard.examine(asked, cached, similarity=1.0)
        assert not verdict.same
        assert verdict.rule not in ASIDE


@pytest.mark.parametrize("rule", TABLES)
def test_most_pairs_of_a_table_are_kept_apart_by_the_rule_it_is_for(
    guard: Guard, rule: str
) -> None:
    named = [guard.examine(one, other, 1.0).rule == rule for one, other in pairs(TABLES[rule])]
    assert sum(named) >= 0.7 * len(named)


def test_there_are_enough_safety_pairs() -> None:
    assert sum(len(pairs(table)) for table in TABLES.values()) >= 150


def test_no_accepted_error_however_high_lets_a_hard_rule_pass() -> None:
    lenient = Guard(EMBEDDER, max_error=1.0)
    assert not lenient.examine("enable dark mode", "disable dark mode", 1.0).same


@pytest.mark.parametrize("rule", TABLES)
def test_the_rules_hold_for_an_embedder_that_was_not_calibrated__lesson_3(rule: str) -> None:
    other = Guard("some-other-embedder", max_error=0.05)
    assert not any(other.examine(a, b, 1.0).same for a, b in pairs(TABLES[rule]))
