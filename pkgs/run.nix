# What `nix run` starts: the coordinator for the user who calls it, with no service and nothing to
# configure first. It answers through a Lemonade or an Ollama on this machine and keeps its knowledge in
# the user's state folder. Not for a machine that is to serve others: see `modules/`.
{
  formats,
  hybrid-ai-embedding-model,
  hybrid-coordinator,
  lib,
  writeShellApplication,
}:
let
  settings = (formats.json { }).generate "settings.json" {
    embedder.folder = "${hybrid-ai-embedding-model}";
    backends = {
      lemonade = {
        kind = "lemonade";
        base_url = "http://127.0.0.1:13305";
      };
      ollama = {
        kind = "ollama";
        base_url = "http://127.0.0.1:11434";
      };
    };
  };
in
writeShellApplication {
  name = "hybrid-ai-run";
  text = ''
    # Settings of one's own replace these: `--config FILE` or HYBRID_AI_CONFIG.
    export HYBRID_AI_CONFIG="''${HYBRID_AI_CONFIG-${settings}}"
    exec ${lib.getExe hybrid-coordinator} serve "$@"
  '';
  meta.description = "The coordinator with a Lemonade or an Ollama of this machine";
}
