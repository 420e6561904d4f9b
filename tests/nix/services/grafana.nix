# Stand-in of nixpkgs' services.grafana: the options of provisioning that our modules set, typed
# as there. It has no unit of its own, since nothing of ours changes Grafana's.
{ lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  option = type: default: mkOption { inherit type default; };

  datasource = types.submodule {
    freeformType = (pkgs.formats.json { }).type;
    options = {
      name = mkOption { type = types.str; };
      type = mkOption { type = types.str; };
      access = option (types.enum [
        "proxy"
        "direct"
      ]) "proxy";
      uid = option (types.nullOr types.str) null;
      url = option types.str "";
    };
  };

  datasources = types.submodule {
    options = {
      apiVersion = option types.int 1;
      datasources = option (types.listOf datasource) [ ];
    };
  };
in
{
  options.services.grafana = {
    enable = lib.mkEnableOption "Grafana";
    provision.enable = lib.mkEnableOption "provisioning";
    provision.datasources.settings = option (types.nullOr datasources) null;
  };
}
