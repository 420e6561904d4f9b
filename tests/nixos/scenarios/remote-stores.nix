# Redis and Qdrant on another machine: the coordinator uses them by their addresses.
{
  nodes = {
    stores = ./parts/stores.nix;

    machine = {
      imports = [
        ./common.nix
        ./parts/lemonade.nix
      ];

      services.hybrid-ai = {
        enable = true;
        ollama.enable = false;
        qdrant.url = "http://stores:6333";
        redis.url = "redis://stores:6379";
      };
    };
  };
}
