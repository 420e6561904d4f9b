# The least that answers and learns: the coordinator, a Lemonade and a stand-in that is asked for patterns,
# with cache, knowledge and queue in the coordinator itself. Everything is on this machine, so nothing
# else may be reached.
{ pkgs, ... }:
{
  imports = [
    ./common.nix
    ./parts/fake-local.nix
    ./parts/lemonade.nix
  ];

  # A test builds a wrong settings file and looks at the refusal.
  environment.systemPackages = [ pkgs.nix ];

  services.hybrid-ai = {
    enable = true;
    ollama.enable = false;
    qdrant.enable = false;
    redis.enable = false;
  };
}
