"""The child process that runs llama.cpp for an embedded backend. Started by path, see ``embedded``.

It is a process of its own because loading a model holds Python's global lock
for seconds (which would stop the gateway's event loop, thread or not), and so
that a crash of native code is one failed backend and not a dead gateway. It
imports nothing of this package. Its protocol: one JSON line of parameters on
standard input; one JSON line, ``{"url"}`` or ``{"error"}``, on standard
output; it ends when standard input does, and so with its parent, however that ends.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any

# The gateway answers in between; tokens may wait a little for it.
_NICENESS = 5
_PROMPT_CACHE_MIB = 256


def main() -> None:
    """Load, report, serve until standard input ends."""
    # What native code prints must not get between the lines of the protocol.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    parameters = json.loads(sys.stdin.readline())
    os.nice(_NICENESS)
    try:
        server = _start(parameters)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent reports it
        print(json.dumps({"error": str(error) or type(error).__name__}), file=answers, flush=True)
        return
    print(json.dumps({"url": server.listening_address}), file=answers, flush=True)
    sys.stdin.read()
    # Threads of the native server may be in the middle of a token: nothing is left to save.
    os._exit(0)


def _start(parameters: dict[str, Any]) -> Any:
    # Compiled and without type stubs: an ``Any`` by intention.
    xllamacpp: Any = import_module("xllamacpp")

    common = xllamacpp.CommonParams()
    common.model.path = parameters["model_path"]
    common.model_alias = {parameters["alias"]}
    common.api_keys = [parameters["api_key"]]
    common.n_ctx = parameters["context_tokens"]
    common.n_parallel = parameters["slots"]
    # Else each slot gets an equal part of the context instead of what it needs.
    common.kv_unified = True
    common.fit_params = False
    for threads in (common.cpuparams, common.cpuparams_batch):
        threads.n_threads = parameters["threads"]
        # Waiting threads sleep: where cores are shared, spinning ones stop everybody.
        threads.poll = 0
    common.cache_ram_mib = _PROMPT_CACHE_MIB
    common.verbosity = -1
    common.ui = False
    common.endpoint_slots = False
    if template := parameters.get("chat_template"):
        common.chat_template = template
        common.antiprompt = parameters["stop"]
        common.n_predict = parameters["max_tokens"]
        common.sampling.temp = parameters["temperature"]
        common.sampling.penalty_repeat = parameters["repeat_penalty"]
    return xllamacpp.Server(common)


if __name__ == "__main__":
    main()
