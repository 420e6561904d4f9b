# Qdrant, where the collections live: nixpkgs' own service, hardened further, or one elsewhere.
# Without either the coordinator keeps the collections in its own state directory.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  hybrid = config.services.hybrid-ai;
  cfg = hybrid.qdrant;
  secrets = import ./secrets.nix { inherit lib; };
  secretEnvironment = import ./secret-environment.nix { inherit lib pkgs; };
in
{
  options.services.hybrid-ai.qdrant = {
    enable = mkOption {
      type = types.bool;
      default = cfg.url == null;
      defaultText = lib.literalExpression "config.services.hybrid-ai.qdrant.url == null";
      example = false;
      description = ''
        Whether Qdrant runs on this machine. With neither this nor `url`, the collections are kept in
        the coordinator's state directory: enough for one machine and some 100,000 items.
      '';
    };

    url = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "https://qdrant.example.org:6333";
      description = "Address of a Qdrant elsewhere.";
    };

    port = mkOption {
      type = types.port;
      default = 6333;
      example = 7333;
      description = "Port of the Qdrant on this machine, on loopback; its gRPC port is separate.";
    };

    apiKeyFile = secrets.mkOption {
      example = "/run/secrets/qdrant";
      description = ''
        The key of Qdrant, the key alone. Qdrant here asks for it, and the coordinator sends it.
      '';
    };
  };

  config = lib.mkIf hybrid.enable (
    lib.mkMerge [
      {
        services.hybrid-ai.coordinator.settings.qdrant = {
          url = lib.mkIf (cfg.url != null || cfg.enable) (
            lib.mkDefault (if cfg.url != null then cfg.url else "http://127.0.0.1:${toString cfg.port}")
          );
          api_key_file = lib.mkIf (cfg.apiKeyFile != null) (lib.mkDefault "qdrant-api-key");
        };
      }
      (lib.mkIf cfg.enable {
        services.qdrant = {
          enable = true;
          settings = {
            service.host = "127.0.0.1";
            service.http_port = cfg.port;
            # For pages in a browser; the coordinator is the only client here.
            service.enable_cors = lib.mkOverride 900 false;
          };
        };

        services.hybrid-ai.relaxations.qdrant = [ ];

        systemd.services.qdrant = {
          wantedBy = [ "hybrid-ai.target" ];
          partOf = [ "hybrid-ai.target" ];
          serviceConfig = lib.mkMerge [
            {
              StateDirectoryMode = lib.mkDefault "0700";
              # nixpkgs' unit lets it see that other processes are there.
              ProtectProc = lib.mkOverride 90 "invisible";
              # It leaves a mark of its first start in the working directory.
              WorkingDirectory = lib.mkDefault "/var/lib/qdrant";
              TimeoutStopSec = lib.mkDefault 60;
              OOMPolicy = lib.mkDefault "kill";
            }
            (lib.mkIf (cfg.apiKeyFile != null) (
              secretEnvironment {
                unit = "qdrant";
                variable = "QDRANT__SERVICE__API_KEY";
                file = cfg.apiKeyFile;
              }
            ))
          ];
        };
      })
    ]
  );
}
