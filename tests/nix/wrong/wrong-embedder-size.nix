# The vectors stored are of another size than the embedding model's.
# Says: makes vectors of 384 numbers
# Says: 768
# Says: reindex
{
  services.hybrid-ai = {
    enable = true;
    coordinator.embedder.dimensions = 768;
  };
}
