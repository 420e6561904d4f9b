# Two coordinators that share Redis and Qdrant on a third machine: what one was taught and has
# answered, the other knows. Their ports differ, since in a container all machines share one address.
let
  coordinator = port: {
    imports = [ ./common.nix ];

    services.hybrid-ai = {
      enable = true;
      lemonade.enable = false;
      ollama.enable = false;
      qdrant.url = "http://stores:6333";
      redis.url = "redis://stores:6379";
      coordinator = {
        inherit port;
        # Both ask the same model, so that an answer of one is an answer of the other.
        settings.backends.shared = {
          kind = "openai";
          base_url = "http://stores:8099";
          models = [
            {
              name = "fake-large";
              context_tokens = 32768;
            }
          ];
          probe_interval = 1;
          breaker_reset = 1;
        };
      };
    };
  };
in
{
  nodes = {
    stores = ./parts/stores.nix;
    first = coordinator 8092;
    second = coordinator 8093;
  };
}
