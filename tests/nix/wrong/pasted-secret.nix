# The secret itself where the path of its file belongs. It must not be repeated.
# Says: neither an absolute path nor the name of a credential
# Says: replace that secret
# Never says: sk-123456
{
  services.hybrid-ai = {
    enable = true;
    coordinator.settings.backends.other = {
      kind = "openai";
      base_url = "https://api.example.org";
      tier = "remote";
      models = [ { name = "large"; } ];
      api_key_file = "sk-123456";
    };
  };
}
