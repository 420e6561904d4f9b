# Ollama as a local backend: nixpkgs' own service with the models that are declared here, or one
# elsewhere.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  hybrid = config.services.hybrid-ai;
  cfg = hybrid.ollama;
in
{
  options.services.hybrid-ai.ollama = {
    enable = mkOption {
      type = types.bool;
      default = cfg.url == null;
      defaultText = lib.literalExpression "config.services.hybrid-ai.ollama.url == null";
      example = false;
      description = "Whether Ollama runs on this machine.";
    };

    url = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "http://192.168.1.20:11434";
      description = "Address of an Ollama elsewhere.";
    };

    port = mkOption {
      type = types.port;
      default = 11434;
      example = 21434;
      description = "Port of the Ollama on this machine, on loopback.";
    };

    models = mkOption {
      type = types.listOf types.str;
      default = lib.optional (cfg.enable && hybrid.lemonade.models == { }) "qwen3:4b";
      defaultText = lib.literalExpression ''
        lib.optional (cfg.enable && config.services.hybrid-ai.lemonade.models == { }) "qwen3:4b"
      '';
      example = [
        "qwen3:8b"
        "gemma3:4b"
      ];
      description = ''
        Models that answer, the first is the default. On this machine they are downloaded once
        Ollama runs; elsewhere they must be there. Empty: whatever Ollama has in memory.
      '';
    };

    acceleration = mkOption {
      type = types.nullOr (
        types.enum [
          "cpu"
          "cuda"
          "rocm"
          "vulkan"
        ]
      );
      default = null;
      example = "rocm";
      description = ''
        What computes: the processor, or a graphics card by Nvidia (`cuda`), AMD (`rocm`) or any
        (`vulkan`). Null leaves {option}`services.ollama.package` as it is.
      '';
    };
  };

  config = lib.mkIf hybrid.enable (
    lib.mkMerge [
      (lib.mkIf (cfg.enable || cfg.url != null) {
        services.hybrid-ai.coordinator.settings.backends.ollama = {
          kind = lib.mkDefault "ollama";
          base_url = lib.mkDefault (
            if cfg.url != null then cfg.url else "http://127.0.0.1:${toString cfg.port}"
          );
          models = lib.mkIf (cfg.models != [ ]) (
            lib.mkDefault (map (name: { inherit name; }) cfg.models)
          );
        };
      })
      (lib.mkIf cfg.enable {
        services.ollama = {
          enable = true;
          host = "127.0.0.1";
          inherit (cfg) port;
          loadModels = cfg.models;
          package = lib.mkIf (cfg.acceleration != null) (
            lib.mkDefault pkgs."ollama-${cfg.acceleration}"
          );
        };

        services.hybrid-ai.relaxations = {
          # It downloads its models itself. What it needs of the machine is in nixpkgs' own unit.
          ollama = [ "network" ];
          # It runs GNU parallel, which counts processors.
          ollama-model-loader = lib.mkIf (cfg.models != [ ]) [ "whole-proc" ];
        };

        systemd.services.ollama = {
          wantedBy = [ "hybrid-ai.target" ];
          partOf = [ "hybrid-ai.target" ];
          serviceConfig = {
            # nixpkgs' unit sees every device; the processor alone needs none.
            PrivateDevices = lib.mkIf (cfg.acceleration == "cpu") (lib.mkOverride 90 true);
            Restart = lib.mkDefault "always";
            RestartSec = lib.mkDefault 2;
          };
        };

        # A part of the stack too: the health check names it where a download failed.
        systemd.services.ollama-model-loader = lib.mkIf (cfg.models != [ ]) {
          wantedBy = [ "hybrid-ai.target" ];
          partOf = [ "hybrid-ai.target" ];
        };
      })
    ]
  );
}
