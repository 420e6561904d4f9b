# Other machines may ask, and no key is asked for.
# Says: there are no keys
# Says: Set services.hybrid-ai.coordinator.apiKeysFile
{
  services.hybrid-ai = {
    enable = true;
    coordinator.host = "0.0.0.0";
  };
}
