# Other machines may ask with a key, but by no name that is accepted.
# Says: no name of this machine is known
# Says: allowed_hosts
{
  services.hybrid-ai = {
    enable = true;
    coordinator.host = "0.0.0.0";
    coordinator.apiKeysFile = "/run/secrets/keys";
  };
}
