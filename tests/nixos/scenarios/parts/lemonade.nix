# A Lemonade with the small model of the tests, which follows the protocol and little else. One thread
# and a short context: the machines of the tests share few cores.
{ pkgs, ... }:
let
  # Turns of Gemma; the GGUF file has no template of its own.
  template = pkgs.writeText "gemma-turns.jinja" ''
    {{ bos_token }}{% for message in messages %}<start_of_turn>{{ 'model' if message.role == 'assistant' else 'user' }}
    {{ message.content }}<end_of_turn>
    {% endfor %}{% if add_generation_prompt %}<start_of_turn>model
    {% endif %}'';
in
{
  services.hybrid-ai = {
    lemonade = {
      models.gemma-3-270m-q4_k_m = "${pkgs.hybrid-ai-test-model}/gemma-3-270m-q4_k_m.gguf";
      settings = {
        ctx_size = 2048;
        llamacpp.args = "--threads 1 --threads-batch 1 --poll 0 --chat-template-file ${template}";
      };
    };
    # An outage is seen soon.
    coordinator.settings.backends.lemonade = {
      probe_interval = 1;
      breaker_reset = 1;
    };
  };
}
