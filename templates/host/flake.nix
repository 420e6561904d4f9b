# A complete small host with hybrid-ai: a gateway for language models that learns from its own use.
#
#   1. Make it yours: the lines marked with ←, and what you like of the options.
#   2. Write the two secrets (the commands are beside them below).
#   3. nixos-rebuild switch --flake .#host
#   4. curl -H "authorization: Bearer <your key>" http://127.0.0.1:8092/v1/models
#
# Then: `systemctl status hybrid-coordinator` says what is ready, `journalctl -u hybrid-coordinator` what
# happened; data is in /var/lib/hybrid-ai.
{
  inputs = {
    # ← where you have hybrid-ai from: the address you cloned, or a folder (path:/home/me/hybrid-ai)
    hybrid-ai.url = "git+https://git.example.org/hybrid-ai";
    # The nixpkgs it was tested with; name your own to use that instead.
    nixpkgs.follows = "hybrid-ai/nixpkgs";
  };

  outputs =
    { nixpkgs, hybrid-ai, ... }:
    {
      nixosConfigurations.host = nixpkgs.lib.nixosSystem {
        modules = [
          hybrid-ai.nixosModules.default

          # The gateway and all that belongs to it.
          {
            services.hybrid-ai = {
              # 1. Everything: the coordinator, Qdrant, Redis, Lemonade, Ollama and the health check.
              enable = true;

              # 2. Who may ask: one `name:key` a line. Make a key for each program or person with
              #    echo "me:$(openssl rand -hex 32)" >> /var/lib/secrets/hybrid-ai-keys
              coordinator.apiKeysFile = "/var/lib/secrets/hybrid-ai-keys";

              # 3. The models that Ollama fetches and serves here; the first is the default.
              ollama.models = [ "qwen3:4b" ];

              # 4. What computes: "cpu", "cuda" (Nvidia), "rocm" (AMD) or "vulkan" (any graphics card).
              ollama.acceleration = "cpu";

              # 5. Or GGUF files that you have, served by Lemonade under these names. Without any, switch
              #    it off.
              # lemonade.models.gemma3-4b = "/srv/models/gemma-3-4b-it-q4_k_m.gguf";
              lemonade.enable = false;

              # 6. A paid API for the questions that are too hard for these, and its prices in US dollars
              #    per million tokens. Its key is in a file of its own.
              coordinator.remote = {
                kind = "anthropic";
                models = [
                  {
                    name = "claude-sonnet-4-5";
                    context_tokens = 200000;
                    input_price = 3;
                    output_price = 15;
                  }
                ];
              };
              coordinator.remoteApiKeyFile = "/var/lib/secrets/anthropic";

              # 7. How sure the gateway must be to let a local model answer, 0 to 1; and what a day may
              #    cost. These and all others: coordinator/settings.schema.json
              coordinator.settings.routing = {
                local_confidence_threshold = 0.7;
                daily_budget_usd = 2;
              };

              # 8. How much stored knowledge may go into a prompt.
              coordinator.settings.retrieval.token_budget = 1500;

              # 9. How often every part is asked how it is: `systemctl status hybrid-ai-health-check`.
              jobs.healthCheck.interval = "5min";

              # 10. For other machines: a name with TLS before it. Without this only this machine can ask.
              # nginx = {
              #   enable = true;
              #   virtualHost = "ai.example.org";
              # };
            };

            # With 10: the certificate is fetched by ACME, and the world may knock.
            # security.acme.acceptTerms = true;
            # security.acme.defaults.email = "me@example.org";
            # networking.firewall.allowedTCPPorts = [ 80 443 ];
          }

          # The machine itself.
          {
            nixpkgs.hostPlatform = "x86_64-linux"; # ← or "aarch64-linux"
            networking.hostName = "host"; # ←
            system.stateVersion = "26.05"; # the release it was installed with; it stays

            boot.loader.systemd-boot.enable = true;
            boot.loader.efi.canTouchEfiVariables = true;

            # ← as `nixos-generate-config --show-hardware-config` says
            fileSystems."/" = {
              device = "/dev/disk/by-label/nixos";
              fsType = "ext4";
            };
            fileSystems."/boot" = {
              device = "/dev/disk/by-label/boot";
              fsType = "vfat";
            };

            users.users.me = {
              isNormalUser = true;
              extraGroups = [ "wheel" ];
            };
          }
        ];
      };
    };
}
