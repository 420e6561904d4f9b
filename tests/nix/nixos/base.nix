# Stand-ins of the NixOS options that our modules and scenarios set or read, apart from the
# services in `../services`. An option that is not here is an error, so a wrong name in a module
# fails; every name here is in `../nixpkgs-options.json` with the file of nixpkgs that has it.
# Nothing here configures.
{
  lib,
  config,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;

  option = type: default: mkOption { inherit type default; };
  list = type: option (types.listOf type) [ ];
  flag = default: option types.bool default;

  etcFile =
    { name, config, ... }:
    {
      options = {
        enable = flag true;
        text = option (types.nullOr types.lines) null;
        source = mkOption { type = types.path; };
        mode = option types.str "symlink";
      };
      config.source = lib.mkIf (config.text != null) (
        lib.mkDefault (pkgs.writeText (baseNameOf name) config.text)
      );
    };

  user = {
    options = {
      isSystemUser = flag false;
      isNormalUser = flag false;
      group = option types.str "";
      extraGroups = list types.str;
      home = option types.str "/var/empty";
    };
  };

  group = {
    options = {
      members = list types.str;
    };
  };
  fileSystem = {
    options = {
      device = option (types.nullOr types.nonEmptyStr) null;
      fsType = option types.nonEmptyStr "auto";
    };
  };

  # A text alone, or with the scripts that must run before it.
  activationScript = types.coercedTo types.str (text: { inherit text; }) (
    types.submodule {
      options = {
        text = option types.lines "";
        deps = list types.str;
      };
    }
  );
in
{
  options = {
    assertions = mkOption {
      type = types.listOf types.unspecified;
      internal = true;
      default = [ ];
    };
    warnings = mkOption {
      type = types.listOf types.str;
      internal = true;
      default = [ ];
    };

    systemd = import ./systemd-options.nix { inherit lib pkgs; } // {
      tmpfiles.rules = list types.str;
      package = option types.package pkgs.systemd;
    };

    environment.etc = option (types.attrsOf (types.submodule etcFile)) { };
    environment.systemPackages = list types.package;
    users.users = option (types.attrsOf (types.submodule user)) { };
    users.groups = option (types.attrsOf (types.submodule group)) { };
    networking.hostName = option types.str "nixos";
    networking.firewall.enable = flag true;
    networking.firewall.allowedTCPPorts = list types.port;
    boot.kernel.sysctl = option (types.attrsOf (
      types.nullOr (
        types.oneOf [
          types.bool
          types.str
          types.int
        ]
      )
    )) { };
    boot.loader.efi.canTouchEfiVariables = flag false;
    boot.loader.systemd-boot.enable = flag false;
    fileSystems = option (types.attrsOf (types.submodule fileSystem)) { };
    virtualisation.memorySize = option types.ints.positive 1024;
    virtualisation.cores = option types.ints.positive 1;
    virtualisation.diskSize = option (types.either (types.enum [ "auto" ]) types.ints.positive) (
      "auto"
    );
    nixpkgs.overlays = list types.unspecified;
    nixpkgs.hostPlatform = option (types.either types.str types.attrs) "x86_64-linux";
    system.activationScripts = option (types.attrsOf activationScript) { };
    system.stateVersion = option types.str "26.05";
  };

  # `startAt` is a timer of the service's name.
  config.systemd.timers = lib.mapAttrs (_: service: {
    wantedBy = [ "timers.target" ];
    timerConfig.OnCalendar = service.startAt;
  }) (lib.filterAttrs (_: service: service.startAt != [ ]) config.systemd.services);
}
