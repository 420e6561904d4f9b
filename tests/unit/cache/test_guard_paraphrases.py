"""Plain paraphrases that must be hits at the default accepted error, and how many of them.

The similarities are those of the bundled embedder, written down so that the tests need no model.
Hand-written, of the kind asked of a technical assistant. What must be a miss is in
``test_guard_safety``.
"""

from __future__ import annotations

import pytest

from hybrid_coordinator.cache.guard import Guard

EMBEDDER = "all-MiniLM-L6-v2-int8"
DEFAULT_MAX_ERROR = 0.01

# A cached question, and below it what is asked, each with its cosine.
PARAPHRASES = """
What is NixOS?
  0.979 what's nixos
  0.955 Can you tell me what NixOS is?
  0.983 What exactly is NixOS?
  0.950 Could you please explain to me what NixOS is?
  0.995 what is nixos??
  0.971 Hi, what is NixOS? Thanks!
  0.951 I'd like to know what NixOS is.
  0.963 Please tell me what NixOS is
  0.962 Explain to me what NixOS is.
  0.977 What is the NixOS?
What is a Nix flake?
  0.870 What are Nix flakes?
  0.982 What's a Nix flake, exactly?
How do I install NixOS?
  0.996 How can I install NixOS?
  0.995 How to install NixOS?
  0.996 how do you install nixos
  0.947 What is the best way to install NixOS?
  0.974 How should I install NixOS?
How do I update a flake's inputs?
  0.980 How can I update the inputs of a flake?
  0.985 How do I update flake inputs?
How do I roll back a NixOS generation?
  0.997 How can I roll back a NixOS generation?
How do I list all files in a directory?
  0.991 How can I list all the files in a directory?
  0.947 How do I list all files in a folder?
How do I find large files in Linux?
  0.992 How can I find large files on Linux?
  0.975 What is the best way to find large files in Linux?
How do I reverse a list in Python?
  0.998 How can I reverse a list in Python?
  0.996 In Python, how do I reverse a list?
  0.996 How to reverse a list in python
  0.970 What's the best way to reverse a list in Python?
How do I read a file line by line in Python?
  0.998 How can I read a file line by line in Python?
  0.998 How to read a file line by line in Python?
What is a Python decorator?
  0.972 What are Python decorators?
  0.953 What are decorators in Python?
What is the difference between a list and a tuple in Python?
  0.958 What's the difference between lists and tuples in Python?
  0.998 What is the difference between a tuple and a list in Python?
What is the difference between TCP and UDP?
  0.998 What's the difference between TCP and UDP?
  0.997 What is the difference between UDP and TCP?
What does a 404 error mean?
  0.976 What is the meaning of a 404 error?
  0.986 What does the 404 error mean?
How does HTTPS work?
  0.988 How does https actually work?
  0.952 Can you explain how HTTPS works?
How does a hash table work?
  0.978 How do hash tables work?
How does garbage collection work in Java?
  0.984 How does Java garbage collection work?
Why is my SQL query slow?
  0.940 Why are my SQL queries slow?
  0.991 Why's my SQL query so slow?
How do I create an index in PostgreSQL?
  0.984 How can I create an index in Postgres?
  0.997 How to create an index in PostgreSQL?
How do I back up a PostgreSQL database?
  0.994 How can I back up a PostgreSQL database?
  0.954 What is the best way to back up a PostgreSQL database?
What is a foreign key?
  0.993 What's a foreign key?
  0.937 What are foreign keys?
What is a foreign key in SQL?
  0.990 In SQL, what is a foreign key?
How do I undo the last commit in git?
  0.998 How can I undo the last commit in git?
  0.965 How do I undo my last git commit?
  0.988 how to undo last commit in git
How do I resolve a merge conflict in git?
  0.983 How can I resolve merge conflicts in git?
  0.994 How do you resolve a merge conflict in git?
What is Docker used for?
  0.990 What's Docker used for?
  0.987 What is Docker used for exactly?
How do I stop all Docker containers?
  0.997 How can I stop all Docker containers?
How do I check which process is using a port?
  0.998 How can I check which process is using a port?
  0.975 How do I see which process is using a port?
How do I make a script executable?
  0.994 How can I make a script executable?
How do I restart a systemd service?
  0.997 How can I restart a systemd service?
  0.990 How do you restart a systemd service?
What is the capital of France?
  0.993 What's the capital of France?
What is a closure in JavaScript?
  0.968 What is a JavaScript closure?
  0.982 What are closures in JavaScript?
  0.968 What is a closure in JS?
How do I center a div with CSS?
  0.995 How can I center a div with CSS?
  0.976 How do I centre a div in CSS?
How do I sort a dictionary by value in Python?
  0.991 How can I sort a dictionary by its values in Python?
What is Kubernetes?
  0.541 What is k8s?
  0.946 Do you know what Kubernetes is?
What is a REST API?
  0.986 What exactly is a REST API?
  0.962 Can someone explain what a REST API is?
How do I write a regular expression for an email address?
  0.998 How can I write a regular expression for an email address?
What are the advantages of functional programming?
  0.993 What are some advantages of functional programming?
  0.973 What are the benefits of functional programming?
How can I learn Rust?
  0.966 What is the best way to learn Rust?
  0.995 How do I learn Rust?
Is Rust faster than Python?
  0.994 Is Rust really faster than Python?
Why does Nix use a store?
  0.983 Why is Nix using a store?
How do I pin nixpkgs to a specific commit?
  0.998 How can I pin nixpkgs to a specific commit?
How do I free disk space in NixOS?
  0.981 How can I free up disk space on NixOS?
How do I set an environment variable in bash?
  0.996 How can I set an environment variable in bash?
  0.978 How do I set environment variables in bash?
enable dark mode
  0.894 Enable dark mode.
  0.946 please enable dark mode
What is the difference between merge and rebase in git?
  0.995 What's the difference between rebase and merge in git?
What's the fastest way to copy a large directory?
  0.956 What is the fastest way to copy a large folder?
Where does systemd keep its logs?
  0.976 Where are systemd's logs kept?
Who created Linux?
  0.951 Who was the creator of Linux?
When was Python 3.11 released?
  0.969 when was python 3.11 released
Why does my container exit immediately?
  0.972 Why is my container exiting immediately?
How many columns can a table have in SQLite?
  0.995 In SQLite, how many columns can a table have?
"""

# The first so many each be a hit, and not only most of them.
CERTAIN = 12


def table() -> list[tuple[str, str, float]]:
    rows: list[tuple[str, str, float]] = []
    cached = ""
    for line in PARAPHRASES.strip().splitlines():
        if line.startswith(" "):
            similarity, asked = line.strip().split(" ", 1)
            rows.append((cached, asked, float(similarity)))
        else:
            cached = line
    return rows


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard(EMBEDDER, DEFAULT_MAX_ERROR)


@pytest.mark.parametrize(("cached", "asked", "similarity"), table()[:CERTAIN])
def test_a_plain_paraphrase_is_a_hit(
    guard: Guard, cached: str, asked: str, similarity: float
) -> None:
    verdict = guard.examine(asked, cached, similarity)
    assert verdict.same
    assert verdict.rule is None


def test_most_light_paraphrases_are_hits(guard: Guard) -> None:
    hits = [guard.examine(asked, cached, s).same for cached, asked, s in table()]
    assert len(hits) >= 60
    assert sum(hits) >= 0.88 * len(hits)


def test_no_light_paraphrase_breaks_a_hard_rule(guard: Guard) -> None:
    rules = {guard.examine(asked, cached, s).rule for cached, asked, s in table()}
    assert rules <= {None, "probability"}


def test_most_are_hits_for_an_embedder_that_was_not_calibrated_too__lesson_3() -> None:
    other = Guard("some-other-embedder", DEFAULT_MAX_ERROR)
    hits = [other.examine(asked, cached, 0.0).same for cached, asked, _ in table()]
    assert sum(hits) >= 0.6 * len(hits)


@pytest.mark.parametrize(
    ("cached", "asked", "similarity"),
    [
        ("What is a mutex?", "What is a semaphore?", 0.72),
        ("How do I restart nginx?", "How do I reload nginx?", 0.85),
        ("what is the capital of peru", "what is the capital of chile", 0.75),
        ("How do I rename a branch in git?", "How do I delete a branch in git?", 0.75),
        ("What is NixOS?", "How does NixOS work?", 0.89),
        ("What is NixOS?", "What is NixOS in one sentence?", 0.91),
        ("Explain recursion", "Explain recursion briefly", 0.99),
        ("Write a poem about rain", "Write a story about rain", 0.87),
        ("Docker build is slow", "Docker pull is slow", 0.78),
    ],
)
def test_another_question_is_a_miss_though_no_rule_is_broken(
    guard: Guard, cached: str, asked: str, similarity: float
) -> None:
    verdict = guard.examine(asked, cached, similarity)
    assert not verdict.same
    assert verdict.rule == "probability"
