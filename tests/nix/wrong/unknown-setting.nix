# A setting that the coordinator does not have: the build of the settings file names it.
# Says: services.hybrid-ai.coordinator.settings.routing.local_confidence: there is no such option
{
  services.hybrid-ai = {
    enable = true;
    coordinator.settings.routing.local_confidence = 0.8;
  };
}
