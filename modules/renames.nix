# Names that options had, or that people would guess from other modules and from the coordinator's
# own environment variables: each still works and says what it is called now. No other names.
{ lib, ... }:
let
  renamed =
    from: to:
    lib.mkRenamedOptionModule ([ "services" ] ++ lib.splitString "/" from) (
      [
        "services"
        "hybrid-ai"
      ]
      ++ lib.splitString "/" to
    );
in
{
  imports = [
    # As in most modules of nixpkgs with one server.
    (renamed "hybrid-ai/package" "coordinator/package")
    (renamed "hybrid-ai/host" "coordinator/host")
    (renamed "hybrid-ai/port" "coordinator/port")
    (renamed "hybrid-ai/openFirewall" "coordinator/openFirewall")
    (renamed "hybrid-ai/settings" "coordinator/settings")
    # The variables QDRANT_URL, REDIS_URL, LEMONADE_BASE_URL and OLLAMA_BASE_URL.
    (renamed "hybrid-ai/qdrantUrl" "qdrant/url")
    (renamed "hybrid-ai/redisUrl" "redis/url")
    (renamed "hybrid-ai/lemonade/baseUrl" "lemonade/url")
    (renamed "hybrid-ai/ollama/baseUrl" "ollama/url")
    # The name that nixpkgs' own Ollama module has for it.
    (renamed "hybrid-ai/ollama/loadModels" "ollama/models")
  ];
}
