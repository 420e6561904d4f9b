# The network may ask through nginx, and no key is asked for.
# Says: puts the gateway on the network without keys
# Says: Set services.hybrid-ai.coordinator.apiKeysFile
{
  services.hybrid-ai = {
    enable = true;
    nginx.enable = true;
    nginx.virtualHost = "ai.example.org";
  };
}
