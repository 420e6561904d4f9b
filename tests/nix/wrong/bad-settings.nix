# A value that the coordinator refuses: the build of the settings file names the option.
# Says: services.hybrid-ai.coordinator.settings.cache.ttl
{
  services.hybrid-ai = {
    enable = true;
    coordinator.settings.cache.ttl = -1;
  };
}
