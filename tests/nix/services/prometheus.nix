# Stand-in of nixpkgs' services.prometheus: the options our modules and scenarios may set, typed
# as there, and a unit of the same shape. It is not a Prometheus setup.
{
  lib,
  config,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.prometheus;
  option = type: default: mkOption { inherit type default; };
  nullable = type: option (types.nullOr type) null;

  staticConfig = types.submodule {
    options = {
      targets = mkOption { type = types.listOf types.str; };
      labels = option (types.attrsOf types.str) { };
    };
  };

  scrapeConfig = types.submodule {
    options = {
      job_name = mkOption { type = types.str; };
      authorization = nullable types.attrs;
      metrics_path = nullable types.str;
      scheme = nullable (
        types.enum [
          "http"
          "https"
        ]
      );
      scrape_interval = nullable types.str;
      scrape_timeout = nullable types.str;
      static_configs = nullable (types.listOf staticConfig);
    };
  };

  globalConfig = types.submodule {
    options = {
      evaluation_interval = nullable types.str;
      scrape_interval = nullable types.str;
      scrape_timeout = nullable types.str;
    };
  };

  withoutNulls =
    v:
    if lib.isAttrs v then
      lib.mapAttrs (_: withoutNulls) (lib.filterAttrs (name: x: x != null && name != "_module") v)
    else if lib.isList v then
      map withoutNulls v
    else
      v;

  configFile = (pkgs.formats.yaml { }).generate "prometheus.yml" (withoutNulls {
    global = cfg.globalConfig;
    rule_files = map (file: "${file}") cfg.ruleFiles;
    scrape_configs = cfg.scrapeConfigs;
  });
in
{
  options.services.prometheus = {
    enable = lib.mkEnableOption "Prometheus";
    package = lib.mkPackageOption pkgs "prometheus" { };
    port = option types.port 9090;
    listenAddress = option types.str "0.0.0.0";
    stateDir = option types.str "prometheus2";
    checkConfig = option (types.either types.bool (types.enum [ "syntax-only" ])) true;
    globalConfig = option globalConfig { };
    ruleFiles = option (types.listOf types.path) [ ];
    scrapeConfigs = option (types.listOf scrapeConfig) [ ];
  };

  config = lib.mkIf cfg.enable {
    users.users.prometheus = {
      isSystemUser = true;
      group = "prometheus";
    };
    users.groups.prometheus = { };

    systemd.services.prometheus = {
      description = "Monitoring server Prometheus";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      serviceConfig = {
        ExecStart = lib.concatStringsSep " " [
          "${cfg.package}/bin/prometheus"
          "--config.file=${configFile}"
          "--storage.tsdb.path=/var/lib/${cfg.stateDir}/data/"
          "--web.listen-address=${cfg.listenAddress}:${toString cfg.port}"
        ];
        User = "prometheus";
        Restart = "always";
        RuntimeDirectory = "prometheus";
        RuntimeDirectoryMode = "0700";
        StateDirectory = cfg.stateDir;
        StateDirectoryMode = "0700";
        WorkingDirectory = "/var/lib/${cfg.stateDir}";
        CapabilityBoundingSet = [ "" ];
        DeviceAllow = [ "/dev/null rw" ];
        DevicePolicy = "strict";
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        NoNewPrivileges = true;
        PrivateDevices = true;
        PrivateTmp = true;
        PrivateUsers = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectProc = "invisible";
        ProtectSystem = "full";
        RemoveIPC = true;
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
          "AF_UNIX"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = [
          "@system-service"
          "~@privileged"
        ];
      };
    };
  };
}
