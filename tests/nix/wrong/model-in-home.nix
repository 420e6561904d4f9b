# A model that the service cannot read.
# Says: cannot read below /home
# Says: /srv/models
{
  services.hybrid-ai = {
    enable = true;
    lemonade.models.mine = "/home/me/mine.gguf";
  };
}
