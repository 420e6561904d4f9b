# The machine of `minimal`, whose state directory was written by an earlier version: the test puts a
# committed copy of that state in place and looks for what was stored in it.
{
  imports = [ ./minimal.nix ];

  # What is in that state grows older, and is to be found all the same.
  services.hybrid-ai.coordinator.settings.learning.retention_days = 36500;
}
