# hybrid-ai as a flake. Nothing is decided here: packages are in `pkgs/`, options and units in `modules/`,
# tests in `tests/nixos/`, a host to start from in `templates/host/`.
{
  description = "A self-hosted AI gateway that learns from its own use, for NixOS";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;

      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      eachSystem = make: lib.genAttrs systems (system: make (pkgsOf system));
      pkgsOf = system: nixpkgs.legacyPackages.${system}.extend self.overlays.default;

      # The model that the tests ask is not free software; nothing else may be other.
      pkgsOfChecks =
        system:
        import nixpkgs {
          inherit system;
          overlays = [ self.overlays.default ];
          config.allowUnfreePredicate = package: lib.getName package == "hybrid-ai-test-model";
        };
    in
    {
      overlays.default = import ./pkgs;

      nixosModules = {
        # The options alone, for a host whose `pkgs` has the overlay already.
        hybrid-ai = ./modules;

        default = {
          imports = [ self.nixosModules.hybrid-ai ];
          nixpkgs.overlays = [ self.overlays.default ];
        };
      };

      packages = eachSystem (pkgs: {
        inherit (pkgs) hybrid-coordinator lemonade-server;
        embedding-model = pkgs.hybrid-ai-embedding-model;
        options-doc = pkgs.callPackage ./pkgs/options-doc.nix { };
        default = pkgs.hybrid-coordinator;
      });

      apps = eachSystem (
        pkgs:
        let
          run = pkgs.callPackage ./pkgs/run.nix { };
        in
        {
          default = {
            type = "app";
            program = lib.getExe run;
            inherit (run) meta;
          };
        }
      );

      checks = lib.genAttrs systems (
        system: import ./tests/nixos { pkgs = pkgsOfChecks system; }
      );

      formatter = eachSystem (pkgs: pkgs.nixfmt-tree);

      devShells = eachSystem (pkgs: {
        default = import ./pkgs/shell.nix { inherit pkgs; };
      });

      templates.default = {
        path = ./templates/host;
        description = "A small NixOS host that answers through hybrid-ai";
      };
    };
}
