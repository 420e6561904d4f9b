"""Everyday and demanding chat prompts, written by hand, with the class a person gives them.

The numbers in ``prior`` were moved for errors in ``SETTING`` only. ``CHECKING``
was measured before and after that move; nothing was changed for one of its prompts.
"""

from __future__ import annotations

SETTING_SIMPLE = (
    "hi",
    "What is the capital of Portugal?",
    "Thanks, that worked!",
    "Translate 'where is the train station' into Spanish.",
    "How do I boil an egg?",
    "What does HTTP 404 mean?",
    "Fix the grammar: she don't likes apples",
    "Give me a synonym for 'happy'.",
    "How do I list all files in a directory in bash?",
    "What's the difference between a list and a tuple in Python?",
    "Write a haiku about autumn.",
    "Convert 25 degrees Celsius to Fahrenheit.",
    "Who wrote Pride and Prejudice?",
    "Summarize this in one sentence: The meeting was moved to Friday because the client is away.",
    "Name three fruits that are yellow.",
)

SETTING_COMPLEX = (
    "Prove that there are infinitely many primes congruent to 3 modulo 4.",
    "Design a distributed rate limiter that works across three regions, tolerates the loss of "
    "one of them, and never allows more than 5 % over the limit. Explain the trade-offs.",
    "Refactor this 800-line class into separate modules, keep the public interface, add tests "
    "for each of them, and explain which design patterns you used and why.",
    "Compare the monetary policies of the ECB and the Federal Reserve from 2008 to 2023, analyse "
    "their effects on inflation and employment, and assess which was more effective.",
    "Derive the backpropagation equations for a convolutional layer with stride 2 and padding.",
    "Implement a lock-free multi-producer queue in C++ and argue why it is linearizable.",
    "Write a complete business plan for a bakery in Berlin: market analysis, financing, staffing, "
    "a three-year forecast and the main risks.",
    "Find the closed form of the integral of x^2 * e^(-x^2) over the real line and justify each "
    "step rigorously.",
    "Our service leaks memory under load. Here is what we know: RSS grows 20 MB an hour, the heap "
    "profile is flat, and it only happens with TLS enabled. Diagnose the root cause, propose "
    "experiments that tell the hypotheses apart, and then plan a fix without downtime.",
    "Plan the migration of a monolithic Rails application to microservices, in phases, including "
    "data consistency, rollback and monitoring.",
    "Show that the halting problem is undecidable and derive Rice's theorem from it.",
    "Write a compiler for a small language with integers, functions and closures, targeting "
    "WebAssembly, including a garbage collector.",
    "Evaluate the legal risks under GDPR of training a model on customer e-mails, considering "
    "legal basis, minimisation and international transfers, and recommend a strategy.",
    "Optimize this SQL query over 200 million rows; it must finish in under a second, and the "
    "schema cannot change. First explain the plan, then rewrite it, then justify the indexes.",
    "Solve the system of differential equations x' = 3x - 2y, y' = 2x - 2y with x(0)=1, y(0)=0 "
    "and analyse the stability of the equilibrium.",
)

CHECKING_SIMPLE = (
    "good morning",
    "What is NixOS?",
    "How old is the Eiffel Tower?",
    "What time is it in Tokyo when it's noon in London?",
    "Can you recommend a good book for a long flight?",
    "How do I say 'thank you' in Japanese?",
    "What is the boiling point of water at sea level?",
    "Tell me a joke about cats.",
    "How do I undo my last git commit?",
    "What does the acronym NASA stand for?",
    "Rewrite politely: send me the file now.",
    "Is a tomato a fruit or a vegetable?",
    "How many grams are in an ounce?",
    "Write a short birthday message for my sister.",
    "What's a good substitute for butter in cookies?",
    "How do I restart a systemd service?",
    "Which planet is the largest in the solar system?",
    "Spell 'accommodate'.",
    "What port does SSH use?",
    "How do I center a div in CSS?",
    "When did the Berlin Wall fall?",
    "Give me five names for a black dog.",
    "What is the plural of octopus?",
    "How can I remove a coffee stain from a shirt?",
    "What does `chmod 755` do?",
    "Write a one-line Python expression that reverses a string.",
    "Explain what a firewall is to a ten-year-old.",
    "What's 15% of 80?",
    "Make this shorter: I am writing to you in order to let you know that I will be late.",
    "What should I cook tonight with rice and eggs?",
    "Wie heißt die Hauptstadt von Australien?",
    "Where can I find the log files of nginx?",
    "Why is the sky blue?",
    "Turn this list into a comma separated line: apples pears plums",
    "What's the shortcut to take a screenshot on a Mac?",
)

CHECKING_COMPLEX = (
    "Prove that the square root of 2 is irrational, and generalise the argument to all "
    "non-square integers.",
    "Design a database schema and API for a hospital scheduling system that must handle "
    "concurrent bookings, audit trails and role-based access.",
    "Write a production-ready Kubernetes operator in Go that manages PostgreSQL clusters with "
    "automatic failover, backups and upgrades.",
    "Analyse the causes of the 2008 financial crisis, compare them with those of 1929, and argue "
    "whether the regulation that followed addresses them.",
    "Implement the Raft consensus algorithm with log compaction and membership changes, and "
    "describe how you would test it under network partitions.",
    "Let G be a finite group of order p^2. Show that G is abelian, and classify all such groups "
    "up to isomorphism.",
    "I have a Python web service with 12 endpoints, a Celery worker and a Redis cache. Requests "
    "sometimes time out after deployment, but only on two of five nodes, and never at night. "
    "Work out what could cause this, rank the hypotheses, and write a step-by-step debugging plan.",
    "Develop a trading strategy based on mean reversion, backtest it, and critically discuss "
    "overfitting, transaction costs and regime changes.",
    "Explain in depth how transformers work, derive the attention gradient, and compare at least "
    "three approaches to long contexts with their complexity.",
    "Rewrite this 300-line shell script in Rust, handle all errors, support Windows and Linux, "
    "and include unit and integration tests.",
    "Build a recommendation engine end-to-end: data model, training pipeline, serving "
    "architecture, evaluation and A/B testing.",
    "Given the recurrence T(n) = 2T(n/2) + n log n, derive a tight asymptotic bound and prove it "
    "by induction.",
    "Draft a comprehensive data retention policy for a bank operating in the EU and the US, "
    "reconciling GDPR with record-keeping requirements, and justify each period.",
    "Plan a 12-month roadmap for moving our on-premise data warehouse to the cloud, with phases, "
    "risks, costs, staffing and a rollback strategy for each phase.",
    "Write a detailed literary essay comparing the unreliable narrators in Lolita and Pale Fire, "
    "with textual evidence for each claim.",
    "Design an experiment to test whether a new drug reduces blood pressure: sample size, "
    "randomisation, blinding, statistical analysis and ethical constraints.",
    "Optimise the following matrix multiplication for cache locality and SIMD, then explain the "
    "expected speedup on a machine with 32 KB of L1 cache and AVX2.",
    "Find all integer solutions of x^3 + y^3 = z^2 with x, y, z below 50 and prove that your list "
    "is complete.",
    "Architect a multi-tenant SaaS platform with strict data isolation, per-tenant encryption "
    "keys, usage-based billing and zero-downtime migrations.",
    "Debug this: two threads deadlock about once a day. Thread A holds the cache lock and waits "
    "for the database pool, thread B holds a connection and waits for the cache lock. Propose "
    "three fixes, analyse their trade-offs and implement the best one.",
    "Write a formal specification in TLA+ of a two-phase commit protocol and check that it cannot "
    "violate atomicity when the coordinator crashes.",
    "Synthesize the main arguments for and against universal basic income, evaluate the empirical "
    "evidence from at least four pilots, and conclude with a policy recommendation.",
    "Compute the eigenvalues and eigenvectors of the matrix [[2,1,0],[1,2,1],[0,1,2]] and use "
    "them to solve x' = Ax.",
    "Create a threat model for a mobile banking app, list the attack paths, assess likelihood and "
    "impact, and design mitigations for each.",
    "Derive the Black-Scholes formula from first principles and discuss which assumptions fail in "
    "practice.",
    "Implement a B-tree with concurrent inserts and deletes, support range scans, and analyse its "
    "worst-case complexity.",
    "Review this architecture for scalability problems: a single PostgreSQL instance, 40 "
    "microservices that share tables, nightly batch jobs that lock rows, and a message queue "
    "without idempotency. Suggest a step-by-step plan.",
    "Explain why quicksort's expected running time is O(n log n), proving it with indicator "
    "random variables.",
    "Write a novel outline with twelve chapters, four intertwined timelines, consistent character "
    "arcs and foreshadowing, then write the first chapter in full.",
    "Model the spread of an epidemic with an SEIR model, derive R0, fit it to weekly case data and "
    "quantify the uncertainty of the forecast.",
)
