# A local model server as far as the coordinator can tell, on this machine, which answers what a test
# told it to where JSON is asked for: `tests/nixos/tools/fake_remote.py`. It is asked questions last of
# all local backends, and it alone is asked for patterns.
{ lib, pkgs, ... }:
let
  model = "fake-small";
  port = 8098;
in
{
  systemd.services.fake-local = {
    description = "Stand-in of a local model server";
    wantedBy = [ "multi-user.target" ];
    after = [ "network.target" ];
    serviceConfig = {
      ExecStart = lib.concatStringsSep " " [
        "${pkgs.python3}/bin/python3 /etc/hybrid-ai-tests/fake_remote.py"
        "--port ${toString port} --model ${model}"
      ];
      Restart = "always";
    };
  };

  services.hybrid-ai.coordinator.settings = {
    backends.fake = {
      kind = "openai";
      base_url = "http://127.0.0.1:${toString port}";
      models = [
        {
          name = model;
          context_tokens = 32768;
        }
      ];
      priority = -1;
      probe_interval = 1;
      breaker_reset = 1;
    };
    learning = {
      extraction = {
        inherit model;
        # Only the job extracts, so that a test sees what the job did.
        in_service = false;
      };
      # The end of an outage is seen soon.
      outbox.max_backoff = 2;
    };
  };
}
