# What all options that name a secret share: their type, and what is wrong with a value. A secret
# is the path of a file outside the Nix store, given as a string; systemd reads it as root and hands
# it to the unit as a credential. Not a module: plain functions.
{ lib }:
{
  # An option for the path of a secret.
  mkOption =
    { description, example }:
    lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      inherit example;
      description = ''
        ${description}

        The path of a file that only root needs to read, as a string; never the secret itself. It
        must be outside the Nix store, which everybody can read.
      '';
    };

  # An assertion that the value of the option `name` is no file of the store.
  assertOutsideStore = name: value: {
    # A Nix path, unlike a string, is copied into the store as soon as it is used.
    assertion =
      value == null || !(builtins.isPath value || lib.hasPrefix builtins.storeDir (toString value));
    message = ''
      ${name} names a file in the Nix store, which every user of this machine can read.
      Keep the secret in a file outside of it (by sops-nix, agenix or by hand, mode 0400, owner
      root) and give its path as a string, as in: ${name} = "/run/secrets/hybrid-ai";
    '';
  };
}
