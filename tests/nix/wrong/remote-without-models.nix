# A remote API of which no model is named.
# Says: services.hybrid-ai.coordinator.remote.models is empty
# Says: Name at least one model
{
  services.hybrid-ai = {
    enable = true;
    coordinator.remote.kind = "anthropic";
  };
}
