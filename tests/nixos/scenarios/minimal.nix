# The least that answers: the coordinator and a Lemonade, with cache and knowledge in the coordinator
# itself. Everything is on this machine, so nothing else may be reached.
{ pkgs, ... }:
{
  imports = [
    ./common.nix
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
