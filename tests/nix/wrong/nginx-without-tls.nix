# Keys would travel in the clear.
# Says: needs TLS
# Says: acme = true
{
  services.hybrid-ai = {
    enable = true;
    coordinator.apiKeysFile = "/run/secrets/keys";
    nginx = {
      enable = true;
      virtualHost = "ai.example.org";
      acme = false;
    };
  };
}
