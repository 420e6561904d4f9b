# An open port that nobody outside can reach.
# Says: opens a port that only this machine can reach
# Says: 0.0.0.0
{
  services.hybrid-ai = {
    enable = true;
    coordinator.openFirewall = true;
  };
}
