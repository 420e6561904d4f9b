# services.hybrid-ai: the whole stack by one option. Here are the switch itself and the target that
# holds the units together; each part has a file of its own.
{ config, lib, ... }:
let
  cfg = config.services.hybrid-ai;
in
{
  imports = [
    ./assertions.nix
    ./coordinator-options.nix
    ./coordinator.nix
    ./hardening.nix
    ./jobs.nix
    ./lemonade.nix
    ./monitoring.nix
    ./nginx.nix
    ./ollama.nix
    ./qdrant.nix
    ./redis.nix
    ./renames.nix
    ./settings.nix
    ./socket.nix
  ];

  options.services.hybrid-ai = {
    enable = lib.mkEnableOption ''
      hybrid-ai: a gateway for language models that learns from its own use, with its stores
      (Qdrant, Redis), its model servers (Lemonade, Ollama) and its jobs. Each part can be
      switched off, or be somewhere else'';

    onFailure = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "notify-me@%n.service" ];
      description = ''
        Units to start each time the coordinator, Lemonade or a job fails; `%n` in a name becomes the
        name of that unit. The servers are started again in any case. The health check fails as long
        as a part is not well.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    systemd.targets.hybrid-ai = {
      description = "Self-hosted AI gateway with its stores and model servers";
      wantedBy = [ "multi-user.target" ];
    };
  };
}
