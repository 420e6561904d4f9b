# What every machine of every scenario has: room to run, the tools of the tests, and the secrets that
# they use. The secrets are made anew at each boot, outside the store, so that a test can look for
# them everywhere else. Not a scenario itself.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  makeSecrets = pkgs.writeShellScript "make-test-secrets" ''
    set -efu
    umask 077
    cd /run/test-secrets
    # 48 characters, on one line.
    key() { od -An -tx1 -N24 /dev/urandom | tr -d ' \n'; }
    prometheus=$(key)
    printf 'alice:%s\nbob:%s\nprometheus:%s\n' "$(key)" "$(key)" "$prometheus" > api-keys
    printf '%s\n' "$prometheus" > prometheus
    for name in remote qdrant lemonade; do
      printf '%s\n' "$(key)" > "$name"
    done
  '';

  users = [
    "fake-remote.service"
    "hybrid-coordinator.service"
    "lemonade-server.service"
    "prometheus.service"
    "qdrant.service"
  ];
in
{
  virtualisation = {
    cores = 2;
    memorySize = 4096;
    diskSize = 4096;
  };

  environment.etc."hybrid-ai-tests".source = ../tools;
  environment.systemPackages = [
    pkgs.bash
    pkgs.python3
  ];

  systemd.services.test-secrets = {
    description = "Secrets of the tests, made at boot";
    before = users;
    wantedBy = [ "multi-user.target" ];
    requiredBy = lib.mkIf config.services.hybrid-ai.enable [ "hybrid-coordinator.service" ];
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      RuntimeDirectory = "test-secrets";
      RuntimeDirectoryMode = "0700";
      ExecStart = "${makeSecrets}";
    };
  };
}
