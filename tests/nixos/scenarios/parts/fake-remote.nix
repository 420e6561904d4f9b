# A paid API as far as the coordinator can tell, on this machine: `tests/nixos/tools/fake_remote.py`.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.tests.fakeRemote;
in
{
  options.tests.fakeRemote = {
    host = lib.mkOption {
      type = lib.types.str;
      default = "127.0.0.1";
      description = "Address it listens on.";
    };
    keyFile = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      description = "File with the one key it accepts; null: it asks for none.";
    };
  };

  config.systemd.services.fake-remote = {
    description = "Stand-in of a paid API";
    wantedBy = [ "multi-user.target" ];
    after = [ "network.target" ];
    serviceConfig = {
      ExecStart = lib.concatStringsSep " " (
        [
          "${pkgs.python3}/bin/python3 /etc/hybrid-ai-tests/fake_remote.py"
          "--host ${cfg.host} --port 8099 --model fake-large"
        ]
        ++ lib.optional (cfg.keyFile != null) "--key-file ${cfg.keyFile}"
      );
      Restart = "always";
    };
  };
}
