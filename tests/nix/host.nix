# One host file evaluated: { failed; warnings; units; } as plain data, and the derivation of its
# settings, which builds only if the coordinator accepts them. For tests of single hosts.
{
  path,
  folder ? null,
  digest ? null,
}:
let
  node = import ./evaluate.nix {
    coordinator = if folder == null then null else { inherit folder digest; };
    modules = [
      ../../modules
      path
    ];
  };
in
{
  data = {
    inherit (node) failed warnings units;
  };
  settings = node.config.services.hybrid-ai.coordinator.settingsFile;
}
