# Two servers on one port.
# Says: two servers cannot listen on one port
# Says: services.hybrid-ai.coordinator.port
# Says: services.hybrid-ai.lemonade.port
{
  services.hybrid-ai = {
    enable = true;
    coordinator.port = 13305;
  };
}
