# The overlay: our three packages, by the names the modules know. Not for the flake's output names,
# which are in `flake.nix`.
final: _: {
  hybrid-coordinator = final.callPackage ./hybrid-coordinator/package.nix {
    # Python as the project says it (`requires-python`), whatever nixpkgs' newest is.
    python3Packages =
      (import ./python.nix {
        python = final.python313;
        inherit (final) stdenv;
      }).pkgs;
  };

  hybrid-ai-embedding-model = final.callPackage ./embedding-model/package.nix { };

  lemonade-server = final.callPackage ./lemonade-server/package.nix { };
}
