# A Qdrant on this machine and an address of another.
# Says: Keep one: remove url, or set enable = false
# Says: services.hybrid-ai.qdrant.url
{
  services.hybrid-ai = {
    enable = true;
    qdrant.enable = true;
    qdrant.url = "http://10.0.0.5:6333";
  };
}
