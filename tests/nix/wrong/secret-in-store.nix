# A Nix path is copied into the store, which everybody can read.
# Says: services.hybrid-ai.coordinator.apiKeysFile names a file in the Nix store
# Says: give its path as a string
{
  services.hybrid-ai = {
    enable = true;
    coordinator.apiKeysFile = ./secret-in-store.nix;
  };
}
