# The coordinator's service. Its options are in coordinator-options.nix, its settings in settings.nix,
# the socket before it in socket.nix.
{ config, lib, ... }:
let
  hybrid = config.services.hybrid-ai;
  cfg = hybrid.coordinator;
  addresses = import ./addresses.nix { inherit lib; };

  settingsPath = "/etc/hybrid-ai/settings.json";

  # Everything the service opens connections to.
  destinations = lib.filter (url: url != null) (
    [
      cfg.settings.qdrant.url
      cfg.settings.redis.url
      cfg.settings.tracing.endpoint
    ]
    ++ map (backend: backend.base_url) (lib.attrValues cfg.settings.backends)
  );

  # Started first where they run here; none is needed to start or to answer.
  neighbours =
    lib.optional hybrid.qdrant.enable "qdrant.service"
    ++ lib.optional hybrid.redis.enable "redis-hybrid-ai.service"
    ++ lib.optional hybrid.ollama.enable "ollama.service"
    ++ lib.optional hybrid.lemonade.enable "lemonade-server.service";
in
{
  options.services.hybrid-ai.coordinator = {
    command = lib.mkOption {
      type = lib.types.functionTo lib.types.str;
      internal = true;
      readOnly = true;
      description = "The command line of the coordinator's program for a subcommand.";
    };

    leavesMachine = lib.mkOption {
      type = lib.types.bool;
      internal = true;
      readOnly = true;
      description = "Whether the coordinator speaks to other machines.";
    };
  };

  config = lib.mkIf hybrid.enable {
    services.hybrid-ai = {
      coordinator.command =
        subcommand: "${lib.getExe cfg.package} ${subcommand} --config ${settingsPath}";

      # What an environment file adds is not known here: most likely a store elsewhere.
      coordinator.leavesMachine =
        cfg.environmentFile != null || !lib.all addresses.isLocalUrl destinations;

      relaxations.hybrid-coordinator = [
        "executable-memory"
        "whole-proc"
      ]
      ++ lib.optional cfg.leavesMachine "network";
    };

    # At a path that stays, so that SIGHUP finds what a new generation of the system brought.
    environment.etc."hybrid-ai/settings.json".source = cfg.settingsFile;
    environment.systemPackages = [ cfg.package ];

    systemd.services.hybrid-coordinator = {
      description = "Self-hosted AI gateway that learns from its own use";
      wantedBy = [ "hybrid-ai.target" ];
      partOf = [ "hybrid-ai.target" ];
      requires = [ "hybrid-coordinator.socket" ];
      wants = neighbours;
      after = [
        "network.target"
        "hybrid-coordinator.socket"
      ]
      ++ neighbours;
      inherit (hybrid) onFailure;

      # A restart applies every setting, and the socket keeps what arrives meanwhile. Stopping
      # before and starting after the switch would only make that time longer.
      restartTriggers = [ cfg.settingsFile ];
      stopIfChanged = false;

      # A service that fails at once, again and again, gives up its socket as well, so that clients
      # are told instead of left waiting.
      startLimitIntervalSec = 60;
      startLimitBurst = 20;

      environment = {
        HOME = cfg.settings.state_directory;
        # All models are in the store: nothing is looked for on the network.
        HF_HUB_OFFLINE = "1";
        # A pool of threads would cost more than these small vectors gain, and memory besides.
        OPENBLAS_NUM_THREADS = "1";
      };

      serviceConfig = {
        # SIGHUP reads settings and keys again; systemd waits for the answer.
        Type = "notify-reload";
        NotifyAccess = "main";
        ExecStart = cfg.command "serve";
        SyslogIdentifier = "hybrid-coordinator";

        DynamicUser = true;
        User = "hybrid-ai";
        StateDirectory = "hybrid-ai";
        StateDirectoryMode = "0700";
        SupplementaryGroups =
          lib.optional hybrid.redis.enable config.services.redis.servers.hybrid-ai.group
          ++ cfg.supplementaryGroups;
        LoadCredential = lib.mapAttrsToList (
          name: file: "${name}:${toString file}"
        ) cfg.loadedCredentials;
        EnvironmentFile = lib.mkIf (cfg.environmentFile != null) [ (toString cfg.environmentFile) ];

        Restart = "always";
        RestartSec = 1;
        RestartSteps = 4;
        # Not longer: systemd counts restarts of all time, not of late.
        RestartMaxDelaySec = 10;
        # EX_CONFIG: settings that are impossible on this machine; another start changes nothing.
        RestartPreventExitStatus = 78;
        # The embedder is loaded and the stores are probed before it is ready.
        TimeoutStartSec = 180;
        TimeoutStopSec = builtins.ceil cfg.settings.server.grace_period + 15;
        TimeoutAbortSec = 10;
        WatchdogSec = 30;
        KillMode = "mixed";

        MemoryHigh = cfg.memoryHigh;
        MemoryMax = cfg.memoryMax;
        OOMPolicy = "kill";
        TasksMax = 512;
        LimitNOFILE = 65536;
      };
    };
  };
}
