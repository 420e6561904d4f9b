# An option that does not exist: the module system names it.
# Says: The option `services.hybrid-ai.coordinator.prot' does not exist
{
  services.hybrid-ai = {
    enable = true;
    coordinator.prot = 9000;
  };
}
