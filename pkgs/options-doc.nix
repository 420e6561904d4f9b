# The options document as a package: the very text of docs/options.md, made from the modules. Not for
# how it looks: that is `tests/nix/options-document.nix`, which `make render` uses too.
{ lib, writeTextDir }:
writeTextDir "share/doc/hybrid-ai/options.md" (
  import ../tests/nix/options-document.nix { inherit lib; }
)
