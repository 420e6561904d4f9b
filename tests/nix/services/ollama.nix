# Stand-in of nixpkgs' services.ollama: the options that exist there and units of the same shape,
# with its loader of models as a unit of its own. It is not an Ollama setup, and it loads nothing
# by itself.
{
  lib,
  config,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.ollama;
  option = type: default: mkOption { inherit type default; };
  static = cfg.user != null && cfg.group != null;
in
{
  options.services.ollama = {
    enable = lib.mkEnableOption "Ollama";
    package = lib.mkPackageOption pkgs "ollama" { };
    user = option (types.nullOr types.str) null;
    group = option (types.nullOr types.str) cfg.user;
    home = option types.str "/var/lib/ollama";
    models = option types.str "${cfg.home}/models";
    host = option types.str "127.0.0.1";
    port = option types.port 11434;
    rocmOverrideGfx = option (types.nullOr types.str) null;
    environmentVariables = option (types.attrsOf types.str) { };
    loadModels = option (types.listOf types.str) [ ];
    syncModels = option types.bool false;
    openFirewall = option types.bool false;
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];
    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall [ cfg.port ];
    users = lib.mkIf static {
      users.${cfg.user} = {
        inherit (cfg) home group;
        isSystemUser = true;
      };
      groups.${cfg.group} = { };
    };

    systemd.services.ollama = {
      description = "Model server Ollama";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      environment =
        cfg.environmentVariables
        // {
          HOME = cfg.home;
          OLLAMA_HOST = "${cfg.host}:${toString cfg.port}";
          OLLAMA_MODELS = cfg.models;
        }
        // lib.optionalAttrs (cfg.rocmOverrideGfx != null) {
          HSA_OVERRIDE_GFX_VERSION = cfg.rocmOverrideGfx;
        };
      serviceConfig =
        lib.optionalAttrs static {
          User = cfg.user;
          Group = cfg.group;
        }
        // {
          Type = "exec";
          DynamicUser = true;
          ExecStart = "${lib.getExe cfg.package} serve";
          WorkingDirectory = cfg.home;
          StateDirectory = [ "ollama" ];
          ReadWritePaths = [
            cfg.home
            cfg.models
          ];
          CapabilityBoundingSet = [ "" ];
          DeviceAllow = [
            "char-nvidiactl"
            "char-nvidia-caps"
            "char-nvidia-frontend"
            "char-nvidia-uvm"
            "char-drm"
            "char-fb"
            "char-kfd"
            "/dev/dxg"
          ];
          DevicePolicy = "closed";
          LockPersonality = true;
          MemoryDenyWriteExecute = true;
          NoNewPrivileges = true;
          PrivateDevices = false;
          PrivateTmp = true;
          PrivateUsers = true;
          ProcSubset = "all";
          ProtectClock = true;
          ProtectControlGroups = true;
          ProtectHome = true;
          ProtectHostname = true;
          ProtectKernelLogs = true;
          ProtectKernelModules = true;
          ProtectKernelTunables = true;
          ProtectProc = "invisible";
          ProtectSystem = "strict";
          RemoveIPC = true;
          RestrictAddressFamilies = [
            "AF_INET"
            "AF_INET6"
            "AF_UNIX"
          ];
          RestrictNamespaces = true;
          RestrictRealtime = true;
          RestrictSUIDSGID = true;
          SupplementaryGroups = [ "render" ];
          SystemCallArchitectures = "native";
          SystemCallFilter = [
            "@system-service @resources"
            "~@privileged"
          ];
          UMask = "0077";
        };
    };

    systemd.services.ollama-model-loader = lib.mkIf (cfg.loadModels != [ ] || cfg.syncModels) {
      description = "Load the declared models into Ollama";
      wantedBy = [
        "multi-user.target"
        "ollama.service"
      ];
      wants = [ "network-online.target" ];
      after = [
        "ollama.service"
        "network-online.target"
      ];
      bindsTo = [ "ollama.service" ];
      inherit (config.systemd.services.ollama) environment;
      script = ''
        for model in ${lib.escapeShellArgs cfg.loadModels}; do
          ${lib.getExe cfg.package} pull "$model"
        done
      '';
      serviceConfig = {
        Type = "exec";
        DynamicUser = true;
        Restart = "on-failure";
        RestartSec = "1s";
        RestartMaxDelaySec = "2h";
        RestartSteps = "10";
      };
    };
  };
}
