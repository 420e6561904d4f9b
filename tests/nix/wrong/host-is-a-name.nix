# A name where systemd needs an address.
# Says: is a name. Write the IP address
{
  services.hybrid-ai = {
    enable = true;
    coordinator.host = "ai.example.org";
    coordinator.apiKeysFile = "/run/secrets/keys";
  };
}
