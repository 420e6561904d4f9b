# The stand-in's package set: just the packages and functions that our packages, checks and shell use,
# each seen in nixpkgs. One that is not here is an error. A package is a derivation that would make an
# empty file, with the arguments it was made of in `arguments`. Not for building anything.
{
  system,
  overlays ? [ ],
  config ? { },
}:
let
  lib = import ./lib;

  hostPlatform = {
    inherit system;
    isAarch64 = system == "aarch64-linux";
    isLinux = true;
    isx86_64 = system == "x86_64-linux";
  };

  # `inputs` are what the derivation depends on, so that evaluating it evaluates them.
  derive =
    name: inputs: arguments:
    derivation {
      inherit name system inputs;
      builder = "/bin/sh";
      args = [
        "-c"
        ": > $out"
      ];
    }
    // (arguments.passthru or { })
    // {
      inherit arguments;
      meta = arguments.meta or { };
      pname = arguments.pname or name;
      version = arguments.version or "0";
      overrideAttrs = change: derive name inputs (arguments // change arguments);
    };

  # A package of which nothing but the name matters, and whether it may be used here.
  named =
    name:
    derive name [ ] {
      pname = name;
      meta.mainProgram = name;
    };

  mkDerivation =
    arguments:
    let
      given = if lib.isFunction arguments then lib.fix arguments else arguments;
      inputs = (given.buildInputs or [ ]) ++ (given.nativeBuildInputs or [ ]) ++ [ given.src ];
    in
    derive "${given.pname}-${given.version}" inputs given;

  python = import ./python.nix {
    inherit
      derive
      hostPlatform
      lib
      named
      ;
  };

  make =
    overlays:
    lib.fix (
      lib.extends (lib.composeManyExtensions overlays) (
        pkgs:
        lib.genAttrs (import ./names.nix) named
        // {
          inherit config lib;
          path = ./.;
          extend = overlay: make (overlays ++ [ overlay ]);
          callPackage = lib.callPackageWith pkgs;
          stdenv = { inherit hostPlatform mkDerivation; };
          python313 = python;

          fetchFromGitHub =
            {
              owner,
              repo,
              tag,
              hash,
            }:
            derive "source" [ ] {
              inherit owner repo tag hash;
            };
          fetchurl =
            { url, hash }:
            derive (baseNameOf url) [ ] {
              inherit url hash;
            };
          fetchPypi =
            {
              pname,
              version,
              format,
              python,
              dist,
              hash,
            }@arguments:
            derive "${pname}-${version}-${python}-none-any.whl" [ ] arguments;

          formats.json = _: {
            generate = name: value: derive name [ (lib.toJSON value) ] { inherit value; };
          };
          mkShell = arguments: derive "shell" (arguments.inputsFrom ++ arguments.packages) arguments;
          runCommand =
            name: arguments: script:
            derive name [ script ] (arguments // { inherit script; });
          testers.runNixOSTest = arguments: derive "vm-test-run-${arguments.name}" [ ] arguments;
          writeShellApplication =
            arguments:
            derive arguments.name [ arguments.text ] (
              arguments // { meta = arguments.meta // { mainProgram = arguments.name; }; }
            );
          writeTextDir =
            path: text:
            derive (baseNameOf path) [ (builtins.unsafeDiscardStringContext text) ] { inherit path text; };
        }
      )
    );
in
make overlays
