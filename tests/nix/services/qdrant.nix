# Stand-in of nixpkgs' services.qdrant: the options that exist there and a unit of the same shape,
# so that what our modules add lands on something like the real thing. It is not Qdrant's
# configuration.
{
  lib,
  config,
  pkgs,
  ...
}:
let
  cfg = config.services.qdrant;
  yaml = pkgs.formats.yaml { };
  configFile = yaml.generate "config.yaml" cfg.settings;
in
{
  options.services.qdrant = {
    enable = lib.mkEnableOption "Qdrant";
    package = lib.mkPackageOption pkgs "qdrant" { };
    webUIPackage = lib.mkPackageOption pkgs "qdrant-web-ui" { };
    settings = lib.mkOption {
      inherit (yaml) type;
      default = { };
    };
  };

  config = lib.mkIf cfg.enable {
    services.qdrant.settings = {
      telemetry_disabled = lib.mkDefault true;
      cluster.enabled = lib.mkDefault false;
      service = {
        host = lib.mkDefault "127.0.0.1";
        http_port = lib.mkDefault 6333;
        grpc_port = lib.mkDefault 6334;
        enable_cors = lib.mkDefault true;
        static_content_dir = lib.mkDefault cfg.webUIPackage;
      };
      storage = {
        storage_path = lib.mkDefault "/var/lib/qdrant/storage";
        snapshots_path = lib.mkDefault "/var/lib/qdrant/snapshots";
        on_disk_payload = lib.mkDefault true;
      };
    };

    systemd.services.qdrant = {
      description = "Vector store Qdrant";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      serviceConfig = {
        ExecStart = "${lib.getExe cfg.package} --config-path ${configFile}";
        DynamicUser = true;
        StateDirectory = "qdrant";
        Restart = "on-failure";
        LimitNOFILE = 65536;
        CapabilityBoundingSet = "";
        LockPersonality = true;
        NoNewPrivileges = true;
        PrivateTmp = true;
        ProcSubset = "pid";
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectProc = "noaccess";
        RemoveIPC = true;
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallFilter = [
          "@system-service"
          "~@privileged"
        ];
      };
    };
  };
}
