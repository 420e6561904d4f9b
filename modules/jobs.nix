# What timers run: the framework. A job is a short file in jobs/, which names its subcommand of the
# coordinator and when it runs; the unit, its sandbox, its user, its state and its secrets are the
# coordinator's. No job is declared here.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  hybrid = config.services.hybrid-ai;

  job = types.submodule {
    options = {
      enable = mkOption {
        type = types.bool;
        default = true;
        example = false;
        description = "Whether the job runs.";
      };

      interval = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "5min";
        description = ''
          Time from the end of a run to the start of the next, as systemd writes it; null where
          `calendar` says when.
        '';
      };

      calendar = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "daily";
        description = ''
          When the job runs, as systemd writes it. A run that was missed while the machine was off
          is made up for. Null where `interval` says when.
        '';
      };

      randomizedDelay = mkOption {
        type = types.str;
        default = "0";
        example = "30min";
        description = "Longest random delay of a run, so that many machines do not run at once.";
      };

      timeout = mkOption {
        type = types.str;
        default = "5min";
        example = "1h";
        description = "Time after which a run is ended as failed.";
      };

      successExitStatus = mkOption {
        type = types.listOf (types.ints.between 1 255);
        default = [ ];
        example = [ 1 ];
        description = "Exit statuses besides 0 with which a run has not failed.";
      };

      relaxations = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "network" ];
        description = "Exceptions to the sandbox: see {option}`services.hybrid-ai.relaxations`.";
      };

      description = mkOption {
        type = types.str;
        internal = true;
        description = "What the job does, for the unit.";
      };

      # Null is a job that nobody wrote: assertions.nix says so.
      subcommand = mkOption {
        type = types.nullOr types.str;
        default = null;
        internal = true;
        description = "The subcommand of the coordinator's program.";
      };
    };
  };

  written = lib.filterAttrs (_: value: value.enable && value.subcommand != null) hybrid.jobs;

  # healthCheck → hybrid-ai-health-check
  unitName =
    name:
    "hybrid-ai-"
    + lib.concatMapStrings (
      char: if builtins.match "[A-Z]" char != null then "-${lib.toLower char}" else char
    ) (lib.stringToCharacters name);

  forUnits =
    make: lib.mapAttrs' (name: value: lib.nameValuePair (unitName name) (make value)) written;

  # What a job has in common with the coordinator: who it is, what it may read, how much it may use.
  same = config.systemd.services.hybrid-coordinator;
  shared = lib.filterAttrs (
    name: _:
    lib.elem name [
      "DynamicUser"
      "EnvironmentFile"
      "LoadCredential"
      "MemoryMax"
      "StateDirectory"
      "StateDirectoryMode"
      "SupplementaryGroups"
      "TasksMax"
      "User"
    ]
  ) same.serviceConfig;
in
{
  imports = [
    ./jobs/dashboard-data.nix
    ./jobs/health-check.nix
    ./jobs/pattern-extraction.nix
  ];

  options.services.hybrid-ai.jobs = mkOption {
    type = types.attrsOf job;
    default = { };
    example = {
      healthCheck.interval = "5min";
    };
    description = ''
      What timers run, by name. `dashboardData` writes the files of the dashboard, once a minute
      where `interval` does not say otherwise. `healthCheck` asks every part for its state, once a minute where
      `interval` does not say otherwise. `patternExtraction` has a local model draw patterns from
      the interactions that scored high, once an hour where `calendar` does not say otherwise.
    '';
  };

  config = lib.mkIf hybrid.enable {
    # A job reaches what the coordinator reaches, and no more.
    services.hybrid-ai.relaxations = forUnits (
      value:
      value.relaxations ++ lib.optional hybrid.coordinator.leavesMachine "network"
    );

    systemd.services = forUnits (value: {
      inherit (value) description;
      inherit (hybrid) onFailure;
      inherit (same) environment;
      after = [ "hybrid-coordinator.service" ];
      partOf = [ "hybrid-ai.target" ];
      # A run is short: let it end with what it began with.
      restartIfChanged = false;
      serviceConfig = shared // {
        Type = "oneshot";
        ExecStart = hybrid.coordinator.command value.subcommand;
        # A run that is stopped with everything else has not failed.
        SuccessExitStatus = map toString value.successExitStatus ++ [ "SIGTERM" ];
        TimeoutStartSec = value.timeout;
      };
    });

    systemd.timers = forUnits (value: {
      description = "Timer of: ${value.description}";
      wantedBy = [ "hybrid-ai.target" ];
      partOf = [ "hybrid-ai.target" ];
      timerConfig =
        lib.optionalAttrs (value.interval != null) {
          OnActiveSec = value.interval;
          OnUnitInactiveSec = value.interval;
          AccuracySec = "1s";
        }
        // lib.optionalAttrs (value.calendar != null) {
          OnCalendar = value.calendar;
          Persistent = true;
        }
        // {
          RandomizedDelaySec = value.randomizedDelay;
        };
    });
  };
}
