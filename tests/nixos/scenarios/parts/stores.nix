# A machine that holds Redis and Qdrant for others, as nixpkgs runs them, and a stand-in of a paid API.
# It has nothing of hybrid-ai itself.
{
  imports = [
    ../common.nix
    ./fake-remote.nix
  ];

  tests.fakeRemote.host = "0.0.0.0";

  services.redis.servers.stores = {
    enable = true;
    bind = null;
    port = 6379;
    save = [ ];
    # Only the machines of the test are on this network.
    settings.protected-mode = false;
  };

  services.qdrant = {
    enable = true;
    settings.service.host = "0.0.0.0";
  };

  networking.firewall.allowedTCPPorts = [
    6333
    6379
    8099
  ];
}
