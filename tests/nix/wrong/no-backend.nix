# Nothing that could answer.
# Says: Nothing could answer a question
# Says: services.hybrid-ai.lemonade.enable
# Says: services.hybrid-ai.coordinator.remote.kind
{
  services.hybrid-ai = {
    enable = true;
    lemonade.enable = false;
    ollama.enable = false;
  };
}
