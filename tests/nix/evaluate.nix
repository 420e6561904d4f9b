# Evaluates NixOS modules with nothing of nixpkgs but its library, and gives what they come to as
# plain data: unit files, the generated files they name, failed assertions. The options of NixOS
# and of nixpkgs' services are the stand-ins beside this file. Not for building a system.
{
  lib ? import (builtins.getEnv "NIXPKGS_LIB" + "/lib"),
  modules,
  # See packages.nix: a real coordinator makes the settings be checked where they are built.
  coordinator ? null,
  hostName ? "machine",
}:
let
  pkgs = import ./packages.nix { inherit lib coordinator; };
  unitText = import ./nixos/unit-text.nix { inherit lib; };

  evaluation = lib.evalModules {
    class = "nixos";
    modules = [
      ./nixos/base.nix
      ./services/grafana.nix
      ./services/nginx.nix
      ./services/ollama.nix
      ./services/prometheus.nix
      ./services/qdrant.nix
      ./services/redis.nix
      {
        _file = ./evaluate.nix;
        config._module.args.pkgs = pkgs;
        config.networking.hostName = lib.mkDefault hostName;
      }
    ]
    ++ modules;
  };
  inherit (evaluation) config options;

  kinds = lib.attrNames unitText;
  # [ { name = "x.service"; def = …; text = …; } ]
  all = lib.concatMap (
    kind:
    map (def: {
      inherit def;
      text = unitText.${kind} def;
    }) (lib.attrValues config.systemd.${kind})
  ) kinds;
  enabled = lib.filter (unit: unit.def.enable) all;

  linksOf =
    suffix: attribute:
    lib.concatMap (
      { def, ... }:
      map (
        target: lib.nameValuePair "${target}.${suffix}/${def.name}" "../${def.name}"
      ) def.${attribute}
    ) enabled;

  # What the units and /etc need of the store, found by following references.
  units = lib.listToAttrs (map (unit: lib.nameValuePair unit.def.name unit.text) enabled);
  etc = lib.filterAttrs (
    name: file: file.enable && !lib.hasPrefix "hybrid-ai-tests" name
  ) config.environment.etc;
  roots = lib.attrValues units ++ lib.mapAttrsToList (_: file: "${file.source}") etc;
  store = import ./store.nix { inherit lib; } roots;

  plain = builtins.unsafeDiscardStringContext;
  allText = lib.concatStringsSep "\n" (
    map plain roots
    ++ lib.concatMap lib.attrValues (lib.attrValues store.files ++ lib.attrValues store.links)
  );
in
{
  inherit config options pkgs;

  # Messages only: a system is not built where `failed` has any.
  failed = map (a: a.message) (lib.filter (a: !a.assertion) config.assertions);
  inherit (config) warnings;

  units = lib.mapAttrs (_: plain) units;

  # Links in the folder of units → where they lead.
  links =
    lib.listToAttrs (
      linksOf "wants" "wantedBy" ++ linksOf "requires" "requiredBy" ++ linksOf "upholds" "upheldBy"
    )
    // lib.listToAttrs (
      lib.concatMap (
        { def, ... }: map (alias: lib.nameValuePair alias def.name) def.aliases
      ) enabled
    )
    // lib.listToAttrs (
      map (unit: lib.nameValuePair unit.def.name "/dev/null") (
        lib.filter (unit: !unit.def.enable) all
      )
    );

  # What is generated: see store.nix.
  inherit store;

  # Store paths of packages that any of this names.
  packages = lib.listToAttrs (
    map (package: lib.nameValuePair package.outPath package.pname) (
      lib.filter (
        package: lib.isDerivation package && package ? pname && lib.hasInfix package.outPath allText
      ) (lib.attrValues pkgs)
    )
  );

  # The rest of the machine that a unit may rely on.
  host = {
    inherit (config.networking) hostName;
    users = lib.mapAttrs (_: user: {
      inherit (user)
        group
        extraGroups
        home
        isSystemUser
        ;
    }) config.users.users;
    groups = lib.mapAttrs (_: group: group.members) config.users.groups;
    etc = lib.mapAttrs (_: file: {
      source = plain "${file.source}";
      inherit (file) mode;
    }) etc;
    tmpfiles = config.systemd.tmpfiles.rules;
    openPorts = config.networking.firewall.allowedTCPPorts;
    sysctl = config.boot.kernel.sysctl;
    systemPackages = lib.unique (
      map (package: package.pname or package.name) config.environment.systemPackages
    );
  };
}
