# `nix develop`: the coordinator's own dependencies and what works on its code and on the Nix files. Not
# for `make test`, which installs the versions that are locked in `requirements/`.
{ pkgs }:
let
  python = import ./python.nix {
    python = pkgs.python313;
    inherit (pkgs) stdenv;
  };
in
pkgs.mkShell {
  inputsFrom = [ pkgs.hybrid-coordinator ];
  packages = [
    pkgs.deadnix
    pkgs.gnumake
    pkgs.nixfmt
    pkgs.ruff
    pkgs.statix
    python.pkgs.hypothesis
    python.pkgs.mypy
    python.pkgs.pytest
    python.pkgs.pytest-asyncio
  ];
}
