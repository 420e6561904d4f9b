# The key of a remote API that is not declared.
# Says: is the key of a remote API that is not declared
# Says: services.hybrid-ai.coordinator.remote.kind
{
  services.hybrid-ai = {
    enable = true;
    coordinator.remoteApiKeyFile = "/run/secrets/remote";
  };
}
