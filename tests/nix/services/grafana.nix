# Stand-in of nixpkgs' services.grafana: the options of provisioning that our modules set, typed as
# there, the folder they become and a unit of the same shape. It is not Grafana's configuration.
{
  lib,
  config,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.grafana;
  option = type: default: mkOption { inherit type default; };
  yaml = pkgs.formats.yaml { };

  datasource = types.submodule {
    freeformType = yaml.type;
    options = {
      name = mkOption { type = types.str; };
      type = mkOption { type = types.str; };
      access = option (types.enum [
        "proxy"
        "direct"
      ]) "proxy";
      uid = option (types.nullOr types.str) null;
      url = option types.str "";
      jsonData = option (types.nullOr types.attrs) null;
    };
  };

  datasources = types.submodule {
    options = {
      apiVersion = option types.int 1;
      datasources = option (types.listOf datasource) [ ];
    };
  };

  provider = types.submodule {
    freeformType = yaml.type;
    options = {
      name = option types.str "default";
      type = option types.str "file";
      options.path = mkOption { type = types.path; };
    };
  };

  dashboards = types.submodule {
    options = {
      apiVersion = option types.int 1;
      providers = option (types.listOf provider) [ ];
    };
  };

  provisioning = pkgs.linkFarm "grafana-provisioning" {
    "datasources/datasource.yaml" =
      yaml.generate "datasource.yaml" cfg.provision.datasources.settings;
    "dashboards/dashboard.yaml" = yaml.generate "dashboard.yaml" cfg.provision.dashboards.settings;
  };

  configFile = pkgs.writeText "config.ini" (
    lib.generators.toINI { } (
      lib.recursiveUpdate {
        paths.provisioning = "${provisioning}";
        server = {
          http_addr = "127.0.0.1";
          http_port = 3000;
        };
      } cfg.settings
    )
  );
in
{
  options.services.grafana = {
    enable = lib.mkEnableOption "Grafana";
    package = lib.mkPackageOption pkgs "grafana" { };
    dataDir = option types.path "/var/lib/grafana";
    settings = option (types.attrsOf types.attrs) { };
    provision.enable = lib.mkEnableOption "provisioning";
    provision.datasources.settings = option (types.nullOr datasources) null;
    provision.dashboards.settings = option (types.nullOr dashboards) null;
  };

  config = lib.mkIf cfg.enable {
    users.users.grafana = {
      isSystemUser = true;
      group = "grafana";
      home = cfg.dataDir;
    };
    users.groups.grafana = { };

    systemd.services.grafana = {
      description = "Grafana Service Daemon";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      serviceConfig = {
        ExecStart = "${cfg.package}/bin/grafana server -homepath ${cfg.dataDir} -config ${configFile}";
        WorkingDirectory = cfg.dataDir;
        StateDirectory = "grafana";
        User = "grafana";
        Restart = "on-failure";
        CapabilityBoundingSet = [ "" ];
        DeviceAllow = [ "" ];
        LockPersonality = true;
        NoNewPrivileges = true;
        PrivateDevices = true;
        PrivateTmp = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
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
      };
    };
  };
}
