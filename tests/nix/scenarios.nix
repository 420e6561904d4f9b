# Every scenario of `tests/nixos/scenarios`, evaluated node by node: { scenario = { node = data;
# }; } with the data of `evaluate.nix` that can be written as JSON.
{
  lib ? import (builtins.getEnv "NIXPKGS_LIB" + "/lib"),
  coordinator ? null,
  folder ? ../nixos/scenarios,
}:
let
  entries = removeAttrs (builtins.readDir folder) [ "common.nix" ];
  isScenario =
    name: kind:
    if kind == "directory" then
      builtins.pathExists (folder + "/${name}/default.nix")
    else
      lib.hasSuffix ".nix" name;

  # A file of several nodes is a set that names them; anything else is one module.
  nodesOf =
    path:
    let
      content = import path;
    in
    if lib.isAttrs content && content ? nodes then content.nodes else { machine = path; };

  evaluateNode =
    name: module:
    import ./evaluate.nix {
      inherit lib coordinator;
      hostName = name;
      modules = [
        ../../modules
        module
      ];
    };

  scenarios = lib.mapAttrs' (
    name: _:
    lib.nameValuePair (lib.removeSuffix ".nix" name) (
      lib.mapAttrs evaluateNode (nodesOf (folder + "/${name}"))
    )
  ) (lib.filterAttrs isScenario entries);
in
{
  inherit scenarios;

  data = lib.mapAttrs (
    _: lib.mapAttrs (
      _: node: {
        inherit (node)
          failed
          warnings
          units
          links
          store
          packages
          host
          ;
      }
    )
  ) scenarios;

  # Builds only if the settings of every node are accepted by the coordinator that is given.
  checked = derivation {
    name = "checked-settings";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [
      "-c"
      ": > $out"
    ];
    settings = map (node: node.config.services.hybrid-ai.coordinator.settingsFile) (
      lib.filter (node: node.config.services.hybrid-ai.enable) (
        lib.concatMap lib.attrValues (lib.attrValues scenarios)
      )
    );
  };
}
