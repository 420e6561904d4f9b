# Headers of a collector in the store.
# Says: services.hybrid-ai.coordinator.settings.tracing.headers_file
# Says: /run/secrets
{
  services.hybrid-ai = {
    enable = true;
    coordinator.settings.tracing = {
      endpoint = "http://127.0.0.1:4318";
      headers_file = "${./tracing-headers-in-store.nix}";
    };
  };
}
