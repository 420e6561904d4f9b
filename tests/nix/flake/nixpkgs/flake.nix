# A stand-in of the input `nixpkgs`, so that the flake's outputs are evaluated where nixpkgs cannot be
# had: nixpkgs' library beside this file (the test puts it there) and packages that are names only.
{
  description = "Stand-in of nixpkgs for the tests of the flake's outputs";

  outputs = _: {
    lib = import ./lib;
    legacyPackages = import ./systems.nix (system: import ./. { inherit system; });
  };
}
