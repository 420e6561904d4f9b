# Lemonade as a local backend: our own unit for `lemond`, which serves GGUF files with the llama.cpp
# of nixpkgs, or one elsewhere. It has no word to say when it is ready: the coordinator probes it.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  hybrid = config.services.hybrid-ai;
  cfg = hybrid.lemonade;
  format = pkgs.formats.json { };
  secrets = import ./secrets.nix { inherit lib; };
  secretEnvironment = import ./secret-environment.nix { inherit lib pkgs; };

  modelsFolder = pkgs.linkFarm "lemonade-models" (
    lib.mapAttrsToList (name: file: {
      name = "${name}.gguf";
      path = toString file;
    }) cfg.models
  );
in
{
  options.services.hybrid-ai.lemonade = {
    enable = mkOption {
      type = types.bool;
      default = cfg.url == null;
      defaultText = lib.literalExpression "config.services.hybrid-ai.lemonade.url == null";
      example = false;
      description = "Whether Lemonade runs on this machine, as `lemonade-server.service`.";
    };

    url = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "http://192.168.1.20:13305";
      description = "Address of a Lemonade elsewhere.";
    };

    package = lib.mkPackageOption pkgs "lemonade-server" { };

    acceleration = mkOption {
      type = types.nullOr (
        types.enum [
          "cuda"
          "rocm"
          "vulkan"
        ]
      );
      default = null;
      example = "vulkan";
      description = ''
        The graphics card that computes: by Nvidia (`cuda`), AMD (`rocm`) or any (`vulkan`). Null: the
        processor alone, and the service sees no device.
      '';
    };

    llamaCppPackage = mkOption {
      type = types.package;
      default =
        if cfg.acceleration == null then
          pkgs.llama-cpp
        else if cfg.acceleration == "cuda" then
          pkgs.llama-cpp.override { cudaSupport = true; }
        else
          pkgs."llama-cpp-${cfg.acceleration}";
      defaultText = lib.literalMD "nixpkgs' llama.cpp for `acceleration`";
      example = lib.literalExpression "pkgs.llama-cpp.override { blasSupport = true; }";
      description = "The llama.cpp that computes.";
    };

    port = mkOption {
      type = types.port;
      default = 13305;
      example = 13306;
      description = "Port of the Lemonade on this machine, on loopback.";
    };

    models = mkOption {
      type = types.attrsOf types.path;
      default = { };
      example = lib.literalExpression ''
        {
          qwen3-4b = pkgs.fetchurl {
            url = "https://example.org/qwen3-4b-q4_k_m.gguf";
            hash = lib.fakeHash;
          };
          # A file that is not of the store is named by a string.
          gemma3-4b = "/srv/models/gemma-3-4b-it-q4_k_m.gguf";
        }
      '';
      description = ''
        Models that answer: the name they are asked by, and the GGUF file. The service cannot read
        `/home`. Empty: whatever Lemonade has in memory; with `lemonade pull` it downloads models
        itself.
      '';
    };

    settings = mkOption {
      type = types.submodule { freeformType = format.type; };
      default = { };
      example = {
        ctx_size = 8192;
        max_loaded_models = 2;
        llamacpp.args = "--threads 8";
      };
      description = "Settings of Lemonade, by the names of its own `config.json`.";
    };

    apiKeyFile = secrets.mkOption {
      example = "/run/secrets/lemonade";
      description = ''
        The key of Lemonade, the key alone. Lemonade here asks for it, and the coordinator sends it.
      '';
    };
  };

  config = lib.mkIf hybrid.enable (
    lib.mkMerge [
      (lib.mkIf (cfg.enable || cfg.url != null) {
        services.hybrid-ai.coordinator.settings.backends.lemonade = {
          kind = lib.mkDefault "lemonade";
          base_url = lib.mkDefault (
            if cfg.url != null then cfg.url else "http://127.0.0.1:${toString cfg.port}"
          );
          models = lib.mkIf (cfg.models != { }) (
            lib.mkDefault (map (name: { inherit name; }) (lib.attrNames cfg.models))
          );
          api_key_file = lib.mkIf (cfg.apiKeyFile != null) (lib.mkDefault "lemonade-api-key");
        };
      })
      (lib.mkIf cfg.enable {
        services.hybrid-ai.lemonade.settings = {
          # Foreign binaries do not run on NixOS; llama.cpp comes from nixpkgs.
          no_fetch_executables = lib.mkDefault true;
          llamacpp.backend = lib.mkDefault "system";
          llamacpp.prefer_system = lib.mkDefault true;
          extra_models_dir = lib.mkIf (cfg.models != { }) (lib.mkDefault "${modelsFolder}");
          # What is declared is all there is: nothing is looked up on the network.
          offline = lib.mkDefault (cfg.models != { });
          broadcast = lib.mkDefault false;
          # A service does not keep a machine awake.
          inhibit_suspend = lib.mkDefault false;
        };

        services.hybrid-ai.relaxations.lemonade-server = [
          "executable-memory"
          "scheduling"
          "whole-proc"
        ]
        ++ lib.optional (cfg.acceleration != null) "accelerator"
        ++ lib.optional (!cfg.settings.offline) "network";

        systemd.services.lemonade-server = {
          description = "Lemonade, a server for language models";
          wantedBy = [ "hybrid-ai.target" ];
          partOf = [ "hybrid-ai.target" ];
          after = [ "network.target" ];
          inherit (hybrid) onFailure;
          path = [ cfg.llamaCppPackage ];
          environment = {
            HOME = "/var/lib/lemonade-server";
            LEMONADE_DEFAULTS_PATH = "${format.generate "lemonade-defaults.json" cfg.settings}";
          };
          serviceConfig = lib.mkMerge [
            {
              Type = "exec";
              ExecStart = lib.concatStringsSep " " [
                (lib.getExe cfg.package)
                "/var/lib/lemonade-server"
                "--host 127.0.0.1"
                "--port ${toString cfg.port}"
                "--no-broadcast"
              ];
              DynamicUser = true;
              StateDirectory = "lemonade-server";
              StateDirectoryMode = "0700";
              WorkingDirectory = "/var/lib/lemonade-server";
              Restart = "always";
              RestartSec = 2;
              RestartSteps = 5;
              RestartMaxDelaySec = 60;
              # It takes some five seconds to end its llama-server processes.
              TimeoutStopSec = 30;
              OOMPolicy = "stop";
              LimitNOFILE = 65536;
              TasksMax = 4096;
            }
            (lib.mkIf (cfg.apiKeyFile != null) (
              secretEnvironment {
                unit = "lemonade-server";
                variable = "LEMONADE_API_KEY";
                file = cfg.apiKeyFile;
              }
            ))
          ];
        };
      })
    ]
  );
}
