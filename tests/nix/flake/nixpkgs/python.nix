# The stand-in's Python with the packages that the coordinator needs. As in nixpkgs, fastembed is unfit
# for aarch64, and what imports it or onnxruntime while it is built fails there.
{
  derive,
  hostPlatform,
  lib,
  named,
}:
let
  build =
    arguments:
    derive "${arguments.pname}-${arguments.version}" (
      [ "${arguments.src or ""}" ]
      ++ (arguments.build-system or [ ])
      ++ map usable (arguments.dependencies or [ ])
      ++ lib.optionals (arguments.doCheck or false) (arguments.nativeCheckInputs or [ ])
    ) arguments
    // {
      overridePythonAttrs = change: build (arguments // change arguments);
    };

  # nixpkgs refuses at evaluation what a platform cannot have; the failing import is seen in the build.
  usable =
    package:
    if lib.elem hostPlatform.system (package.meta.badPlatforms or [ ]) then
      throw "${package.pname} is not for ${hostPlatform.system}"
    else if
      hostPlatform.isAarch64
      && (package.arguments.importsOnnxruntime or false)
      && package.arguments.pythonImportsCheck != [ ]
    then
      throw "${package.pname} aborts in Nix' sandbox on ${hostPlatform.system}"
    else
      package;

  original = {
    onnxruntime = build {
      pname = "onnxruntime";
      version = "1.23";
      importsOnnxruntime = true;
      pythonImportsCheck = [ "onnxruntime" ];
      meta = { };
    };
    fastembed = build {
      pname = "fastembed";
      version = "0.7";
      importsOnnxruntime = true;
      pythonImportsCheck = [ "fastembed" ];
      meta.badPlatforms = [ "aarch64-linux" ];
    };
    tree-sitter-grammars = lib.genAttrs (map (language: "tree-sitter-${language}") [
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
    ]) named;
    buildPythonApplication = build;
  }
  // lib.genAttrs [
    "aiohttp"
    "cryptography"
    "detect-secrets"
    "hatchling"
    "hiredis"
    "httptools"
    "httpx"
    "hypothesis"
    "jsonschema"
    "markdown-it-py"
    "mcp"
    "mypy"
    "numpy"
    "opentelemetry-exporter-otlp-proto-http"
    "opentelemetry-sdk"
    "orjson"
    "pathspec"
    "phonenumbers"
    "prometheus-client"
    "pydantic"
    "pydantic-settings"
    "pytest"
    "pytest-asyncio"
    "qdrant-client"
    "redis"
    "rich"
    "starlette"
    "tenacity"
    "tokenizers"
    "tree-sitter"
    "typer"
    "typing-extensions"
    "uvicorn"
    "uvloop"
    "yarl"
  ] named;

  interpreter =
    packages:
    let
      self = {
        pkgs = packages // { python = self; };
        override =
          { packageOverrides, ... }: interpreter (lib.fix (lib.extends packageOverrides (_: packages)));
      };
    in
    self;
in
interpreter original
