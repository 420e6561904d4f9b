# A text where a number belongs: the module system names the option and both types.
# Says: services.hybrid-ai.coordinator.port
# Says: is not of type
# Says: 16 bit unsigned integer
{
  services.hybrid-ai = {
    enable = true;
    coordinator.port = "9000";
  };
}
