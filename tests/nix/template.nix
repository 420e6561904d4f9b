# The modules of the template's host, as its flake hands them to NixOS: for evaluating a file that
# people copy. The inputs are stand-ins; building the host needs the real ones.
let
  flake = import ../../templates/host/flake.nix;
  outputs = flake.outputs {
    self = outputs;
    nixpkgs.lib.nixosSystem = { modules, ... }: { imports = modules; };
    hybrid-ai.nixosModules.default = ../../modules;
  };
in
outputs.nixosConfigurations.host
