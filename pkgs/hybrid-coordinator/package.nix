# The coordinator as a program. Everything it needs is in nixpkgs, but for the dashboard's charts, which are
# npm's; its extra `embedded` (llama.cpp and Qdrant in the same process) is not: on NixOS those are services
# of their own. Not for the coordinator's service: see `modules/`.
{
  lib,
  stdenv,
  fetchurl,
  python3Packages,
  hybrid-ai-embedding-model,
}:
let
  root = ../..;

  # Only what is named here: another file's change builds nothing again.
  source =
    folders:
    lib.fileset.toSource {
      inherit root;
      fileset = lib.fileset.intersection (lib.fileset.unions folders) (
        lib.fileset.fileFilter (file: !file.hasExt "pyc") root
      );
    };
  program = [
    (root + "/coordinator/pyproject.toml")
    (root + "/coordinator/src")
  ];

  # The dashboard's charts, of the version and with the hash that set-up takes elsewhere, too.
  locked =
    (lib.importJSON (root + "/requirements/assets/package-lock.json")).packages."node_modules/uplot";
  charts = fetchurl {
    url = "mirror://npm/uplot/-/uplot-${locked.version}.tgz";
    hash = locked.integrity;
  };

  optional-dependencies = {
    embeddings = [ python3Packages.fastembed ];

    # nixpkgs' grammar for Kotlin is another, older project than the one the extra names: Kotlin is cut by
    # lines. TSX is a package of its own there.
    languages =
      map (language: python3Packages.tree-sitter-grammars."tree-sitter-${language}")
        [
          "bash"
          "c"
          "c-sharp"
          "cpp"
          "go"
          "java"
          "javascript"
          "lua"
          "nix"
          "php"
          "python"
          "ruby"
          "rust"
          "tsx"
          "typescript"
        ];

    tracing = [
      python3Packages.opentelemetry-exporter-otlp-proto-http
      python3Packages.opentelemetry-sdk
    ];
  };

  coordinator = python3Packages.buildPythonApplication {
    pname = "hybrid-coordinator";
    version = lib.head (
      builtins.match ".*__version__ = \"([^\"]+)\".*" (
        lib.readFile (root + "/coordinator/src/hybrid_coordinator/__init__.py")
      )
    );
    pyproject = true;

    src = source program;
    sourceRoot = "source/coordinator";

    postPatch = ''
      vendor=src/hybrid_coordinator/dashboard/vendor
      mkdir -p "$vendor"
      tar -xzOf ${charts} package/dist/uPlot.iife.min.js > "$vendor/uPlot.js"
      tar -xzOf ${charts} package/dist/uPlot.min.css > "$vendor/uPlot.css"
      tar -xzOf ${charts} package/LICENSE > "$vendor/LICENSE.txt"
    '';

    build-system = [ python3Packages.hatchling ];

    dependencies = [
      python3Packages.aiohttp
      python3Packages.cryptography
      python3Packages.detect-secrets
      python3Packages.hiredis
      python3Packages.httptools
      python3Packages.httpx
      python3Packages.jsonschema
      python3Packages.markdown-it-py
      python3Packages.mcp
      python3Packages.numpy
      python3Packages.orjson
      python3Packages.pathspec
      python3Packages.phonenumbers
      python3Packages.prometheus-client
      python3Packages.pydantic
      python3Packages.pydantic-settings
      python3Packages.qdrant-client
      python3Packages.redis
      python3Packages.rich
      python3Packages.starlette
      python3Packages.tenacity
      python3Packages.tokenizers
      python3Packages.tree-sitter
      python3Packages.typer
      python3Packages.typing-extensions
      python3Packages.uvicorn
      python3Packages.uvloop
      python3Packages.yarl
    ]
    # A program has nobody to choose its extras: without an embedder it does not start.
    ++ lib.concatLists (lib.attrValues optional-dependencies);

    # Here the program is only seen to start; `tests.unit` below runs the unit tests.
    pythonImportsCheck = [
      "hybrid_coordinator.app"
      "hybrid_coordinator.cli"
    ];

    passthru = {
      inherit charts optional-dependencies;
      tests.unit = unitTests;
    };

    meta = {
      description = "Self-hosted gateway for language models that learns from its own use";
      license = lib.licenses.asl20;
      mainProgram = "hybrid-coordinator";
      platforms = lib.platforms.linux;
    };
  };

  # What the unit tests of a package leave out, and why.
  leftOut = {
    files = [
      # Grafana's model of a board, and files of the repository that are no part of this package
      "monitoring"
      # how the named tests are run, which are not there either
      "nixos"
      # the clients of other makers, and their validator of OpenAPI
      "wire"
      "api/test_api_openapi.py"
      # how the packages of the extra `embedded` become an embedder's folder
      "knowledge/test_embedding.py"
    ];
    tests = [
      # the same, of a single test: here the environment names the folder
      "jobs/test_store_checks.py::test_without_the_embedders_size_the_collections_are_there_and_that_is_said"
      "knowledge/test_inspection.py::test_the_bundled_embedder_is_identified_as_it_is_when_loaded"
      # Before 1.20, qdrant-client's local mode keeps a point that it refuses. No vector of another size
      # gets that far: the embedder's are checked.
      "knowledge/test_store.py::test_a_vector_of_the_wrong_size_is_an_error_and_nothing_is_stored"
      "ingest/test_cutting.py::test_every_grammar_is_installed_and_parses[kt]"
    ];
  };

  # The unit tests with nixpkgs' versions of everything.
  unitTests = coordinator.overridePythonAttrs (old: {
    pname = "hybrid-coordinator-unit-tests";

    src = source (
      program
      ++ [
        (root + "/coordinator/settings.schema.json")
        (root + "/tests/__init__.py")
        (root + "/tests/conftest.py")
        (root + "/tests/fakes")
        (root + "/tests/testbed")
        (root + "/tests/unit")
      ]
    );

    # See python.nix: on aarch64 the embedder cannot be loaded in a build.
    doCheck = !stdenv.hostPlatform.isAarch64;
    nativeCheckInputs = [
      python3Packages.hypothesis
      python3Packages.pytest
      python3Packages.pytest-asyncio
    ];
    checkPhase = ''
      runHook preCheck
      export HOME="$NIX_BUILD_TOP/home" HF_HUB_OFFLINE=1
      export HYBRID_EMBEDDER_PATH=${hybrid-ai-embedding-model}
      mkdir -p "$HOME"
      python -m pytest -c pyproject.toml --rootdir .. -q ../tests/unit ${
        lib.escapeShellArgs (
          map (file: "--ignore=../tests/unit/${file}") leftOut.files
          ++ map (test: "--deselect=tests/unit/${test}") leftOut.tests
        )
      }
      runHook postCheck
    '';

    meta = old.meta // {
      description = "Unit tests of hybrid-coordinator";
    };
  });
in
coordinator
