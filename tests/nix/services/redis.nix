# Stand-in of nixpkgs' services.redis.servers: the options that exist there and a unit of the same
# shape. The unit starts the server the way the real one does: its configuration file is in the
# state directory, made by a step that runs as root, and includes the generated one. It is not a
# Redis setup.
{
  lib,
  config,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.redis;
  enabled = lib.filterAttrs (_: server: server.enable) cfg.servers;
  unitName = name: "redis" + lib.optionalString (name != "") "-${name}";
  option = type: default: mkOption { inherit type default; };

  line = key: v: "${key} ${if lib.isBool v then (if v then "yes" else "no") else toString v}\n";
  text =
    settings:
    lib.concatStrings (
      lib.concatLists (lib.mapAttrsToList (key: v: map (line key) (lib.toList v)) settings)
    );

  server =
    { name, config, ... }:
    {
      options = {
        enable = lib.mkEnableOption "this Redis server";
        user = option types.str (unitName name);
        group = option types.str config.user;
        port = option types.port (if name == "" then 6379 else 0);
        openFirewall = option types.bool false;
        bind = option (types.nullOr types.str) "127.0.0.1";
        unixSocket = option (types.nullOr types.path) "/run/${unitName name}/redis.sock";
        unixSocketPerm = option types.int 660;
        logLevel = option types.str "notice";
        logfile = option types.str "/dev/null";
        syslog = option types.bool true;
        databases = option types.int 16;
        maxclients = option types.int 10000;
        save = option (types.listOf (types.listOf types.int)) [
          [
            900
            1
          ]
          [
            300
            10
          ]
          [
            60
            10000
          ]
        ];
        requirePass = option (types.nullOr types.str) null;
        requirePassFile = option (types.nullOr types.path) null;
        appendOnly = option types.bool false;
        appendFsync = option types.str "everysec";
        slowLogLogSlowerThan = option types.int 10000;
        slowLogMaxLen = option types.int 128;
        settings = option (types.attrsOf (
          types.oneOf [
            types.bool
            types.int
            types.str
            (types.listOf types.str)
          ]
        )) { };
      };
      config.settings = lib.mkMerge [
        {
          inherit (config)
            port
            logfile
            databases
            maxclients
            appendOnly
            ;
          appendfsync = config.appendFsync;
          daemonize = false;
          dbfilename = "dump.rdb";
          dir = "/var/lib/${unitName name}";
          loglevel = config.logLevel;
          save = if config.save == [ ] then "\"\"" else map toString config.save;
          slowlog-log-slower-than = config.slowLogLogSlowerThan;
          slowlog-max-len = config.slowLogMaxLen;
          supervised = "systemd";
          syslog-enabled = config.syslog;
        }
        (lib.mkIf (config.bind != null) { inherit (config) bind; })
        (lib.mkIf (config.unixSocket != null) {
          unixsocket = config.unixSocket;
          unixsocketperm = toString config.unixSocketPerm;
        })
        (lib.mkIf (config.requirePass != null) { requirepass = config.requirePass; })
      ];
    };

  prepare =
    name: conf:
    let
      configFile = pkgs.writeText "redis.conf" (text conf.settings);
      included = "/run/${unitName name}/nixos.conf";
    in
    pkgs.writeShellScript "${unitName name}-prepare" ''
      for file in /var/lib/${unitName name}/redis.conf ${included}; do
        touch "$file"
        chown ${conf.user}:${conf.group} "$file"
        chmod 0600 "$file"
      done
      echo 'include "${configFile}"' > ${included}
      ${lib.optionalString (conf.requirePassFile != null) ''
        echo "requirepass $(cat ${lib.escapeShellArg conf.requirePassFile})" >> ${included}
      ''}
      if [ ! -s /var/lib/${unitName name}/redis.conf ]; then
        echo 'include "${included}"' > /var/lib/${unitName name}/redis.conf
      fi
    '';
in
{
  options.services.redis = {
    package = lib.mkPackageOption pkgs "redis" { };
    vmOverCommit = option types.bool true;
    servers = option (types.attrsOf (types.submodule server)) { };
  };

  config = lib.mkIf (enabled != { }) {
    boot.kernel.sysctl = lib.mkIf cfg.vmOverCommit { "vm.overcommit_memory" = "1"; };
    environment.systemPackages = [ cfg.package ];
    networking.firewall.allowedTCPPorts = lib.mapAttrsToList (_: s: s.port) (
      lib.filterAttrs (_: s: s.openFirewall) enabled
    );
    users.users = lib.mapAttrs' (
      name: conf:
      lib.nameValuePair conf.user {
        isSystemUser = true;
        inherit (conf) group;
      }
    ) enabled;
    users.groups = lib.mapAttrs' (_: conf: lib.nameValuePair conf.group { }) enabled;

    systemd.services = lib.mapAttrs' (
      name: conf:
      lib.nameValuePair (unitName name) {
        description = "Redis server ${unitName name}";
        wantedBy = [ "multi-user.target" ];
        after = [ "network.target" ];
        serviceConfig = {
          Type = "notify";
          ExecStartPre = "+${prepare name conf}";
          # The blank stands before the further arguments that a server may have.
          ExecStart = "${cfg.package}/bin/redis-server /var/lib/${unitName name}/redis.conf ";
          User = conf.user;
          Group = conf.group;
          RuntimeDirectory = unitName name;
          RuntimeDirectoryMode = "0750";
          StateDirectory = unitName name;
          StateDirectoryMode = "0700";
          UMask = "0077";
          LimitNOFILE = lib.mkDefault "${toString (conf.maxclients + 32)}";
          CapabilityBoundingSet = "";
          LockPersonality = true;
          MemoryDenyWriteExecute = true;
          NoNewPrivileges = true;
          PrivateDevices = true;
          PrivateMounts = true;
          PrivateTmp = true;
          PrivateUsers = true;
          ProtectClock = true;
          ProtectControlGroups = true;
          ProtectHome = true;
          ProtectHostname = true;
          ProtectKernelLogs = true;
          ProtectKernelModules = true;
          ProtectKernelTunables = true;
          ProtectSystem = "strict";
          RestrictAddressFamilies = [
            "AF_INET"
            "AF_INET6"
            "AF_UNIX"
          ];
          RestrictNamespaces = true;
          RestrictRealtime = true;
          RestrictSUIDSGID = true;
          SystemCallArchitectures = "native";
          SystemCallFilter = "~@cpu-emulation @debug @keyring @memlock @mount @obsolete @privileged @resources @setuid";
        };
      }
    ) enabled;
  };
}
