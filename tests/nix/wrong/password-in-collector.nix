# A password in a collector's address ends up in the store.
# Says: services.hybrid-ai.coordinator.settings.tracing.endpoint holds a password
# Says: headers_file
# Never says: hunter2
{
  services.hybrid-ai = {
    enable = true;
    coordinator.settings.tracing.endpoint = "https://me:hunter2@otlp.example.org";
  };
}
