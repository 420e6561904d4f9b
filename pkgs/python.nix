# The Python whose packages the coordinator is built with: nixpkgs' own, but for one thing on aarch64.
# onnxruntime reads /sys/devices/system/cpu when it is imported, and aborts where that is missing, as it
# is in Nix' sandbox. So nixpkgs marks fastembed as unfit for aarch64, although it works on a running
# system: here neither is imported while it is built. Not for other versions of anything.
{ python, stdenv }:
let
  notImported =
    package:
    package.overridePythonAttrs (old: {
      pythonImportsCheck = [ ];
      meta = old.meta // {
        badPlatforms = [ ];
      };
    });

  embedderOnArm = python.override {
    self = embedderOnArm;
    packageOverrides = _: previous: {
      onnxruntime = notImported previous.onnxruntime;
      fastembed = notImported previous.fastembed;
    };
  };
in
if stdenv.hostPlatform.isAarch64 then embedderOnArm else python
