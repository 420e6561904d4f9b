# Stand-in of nixpkgs' services.nginx: the options of a virtual host that our modules set, typed
# as there. It has no unit of its own, since nothing of ours changes nginx's.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  option = type: default: mkOption { inherit type default; };
  nullable = type: option (types.nullOr type) null;

  location = types.submodule {
    options = {
      proxyPass = nullable types.str;
      return = nullable (
        types.oneOf [
          types.str
          types.int
        ]
      );
      extraConfig = option types.lines "";
    };
  };

  virtualHost = types.submodule {
    options = {
      enableACME = option types.bool false;
      forceSSL = option types.bool false;
      sslCertificate = mkOption { type = types.path; };
      sslCertificateKey = mkOption { type = types.path; };
      locations = option (types.attrsOf location) { };
    };
  };
in
{
  options.services.nginx = {
    enable = lib.mkEnableOption "nginx";
    virtualHosts = option (types.attrsOf virtualHost) { };
  };
}
