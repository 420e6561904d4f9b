# A path of the store, given as a string.
# Says: services.hybrid-ai.qdrant.apiKeyFile names a file in the Nix store
# Says: give its path as a string
{
  services.hybrid-ai = {
    enable = true;
    qdrant.apiKeyFile = "${builtins.storeDir}/00000000000000000000000000000000-key";
  };
}
