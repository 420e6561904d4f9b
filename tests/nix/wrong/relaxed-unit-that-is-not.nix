# An exception for a unit that does not exist.
# Says: this machine has no unit lemonade.service
{
  services.hybrid-ai = {
    enable = true;
    relaxations.lemonade = [ "accelerator" ];
  };
}
