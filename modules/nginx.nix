# A virtual host of nginx before the coordinator, always with TLS and always with keys. The
# coordinator itself stays on loopback.
{
  config,
  lib,
  ...
}:
let
  inherit (lib) mkOption types;
  hybrid = config.services.hybrid-ai;
  cfg = hybrid.nginx;
  addresses = import ./addresses.nix { inherit lib; };
  upstream = addresses.fromHere hybrid.coordinator.host hybrid.coordinator.port;
  inherit (import ./messages.nix { inherit lib; }) assertion option;
  hasKeys = hybrid.coordinator.settings.api_keys_file != null;
in
{
  options.services.hybrid-ai.nginx = {
    enable = lib.mkEnableOption "a virtual host of nginx before the coordinator, with TLS";

    virtualHost = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "ai.example.org";
      description = "Name of the virtual host, which clients use.";
    };

    acme = mkOption {
      type = types.bool;
      default = cfg.certificate == null;
      defaultText = lib.literalExpression "config.services.hybrid-ai.nginx.certificate == null";
      example = false;
      description = ''
        Whether the certificate is fetched by ACME (Let's Encrypt), whose terms
        {option}`security.acme.acceptTerms` accepts.
      '';
    };

    certificate = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/var/lib/certificates/ai.example.org.pem";
      description = "File with the certificate and its chain, where it does not come by ACME.";
    };

    certificateKey = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/var/lib/certificates/ai.example.org.key";
      description = "File with the certificate's private key, outside the Nix store, as a string.";
    };

    maxBodySize = mkOption {
      type = types.str;
      default = "8m";
      example = "32m";
      description = ''
        Largest request, as nginx writes it; `server.max_body_bytes` of
        {option}`services.hybrid-ai.coordinator.settings` is the coordinator's own limit.
      '';
    };
  };

  config = lib.mkIf (hybrid.enable && cfg.enable) {
    assertions = map assertion [
      {
        assertion = cfg.virtualHost != null;
        message = ''
          ${option "nginx.enable"} needs a name: set ${option "nginx.virtualHost"} = "ai.example.org".
        '';
      }
      {
        assertion = hasKeys;
        message = ''
          ${option "nginx.enable"} puts the gateway on the network without keys. Set
          ${option "coordinator.apiKeysFile"} (one `name:key` a line).
        '';
      }
      {
        assertion = cfg.acme != (cfg.certificate != null);
        message = ''
          ${option "nginx"} needs TLS: either acme = true, or certificate and certificateKey, and
          not both. Keys must not travel in the clear.
        '';
      }
      {
        assertion = (cfg.certificate == null) == (cfg.certificateKey == null);
        message = ''
          ${option "nginx.certificate"} and ${option "nginx.certificateKey"} belong together: set
          both, or neither.
        '';
      }
    ];

    services.hybrid-ai.coordinator.settings.server.allowed_hosts = lib.optional (
      cfg.virtualHost != null
    ) cfg.virtualHost;

    # One that ACME renews is ACME's to watch, and only nginx may read it.
    services.hybrid-ai.coordinator.settings.health.certificates = lib.optional (
      cfg.certificate != null
    ) (toString cfg.certificate);

    services.nginx = lib.mkIf (cfg.virtualHost != null) {
      enable = true;
      virtualHosts.${cfg.virtualHost} = {
        forceSSL = true;
        enableACME = cfg.acme;
        sslCertificate = lib.mkIf (cfg.certificate != null) (toString cfg.certificate);
        sslCertificateKey = lib.mkIf (cfg.certificateKey != null) (toString cfg.certificateKey);
        locations = {
          "/" = {
            proxyPass = "http://${upstream}";
            extraConfig = ''
              proxy_http_version 1.1;
              proxy_set_header Host $host;
              proxy_set_header Connection "";
              # Tokens reach the client as they come.
              proxy_buffering off;
              proxy_request_buffering off;
              proxy_read_timeout 600s;
              client_max_body_size ${cfg.maxBodySize};
            '';
          };
          # Open on loopback for Prometheus, not for the world.
          "= /metrics".return = "404";
        };
      };
    };
  };
}
