# Redis, where the cache is shared and outlives a restart: nixpkgs' own service on a socket in the
# file system, or one elsewhere. Without either the cache is in the coordinator's memory. All of it
# may be lost at any time.
{
  config,
  lib,
  ...
}:
let
  inherit (lib) mkOption types;
  hybrid = config.services.hybrid-ai;
  cfg = hybrid.redis;
in
{
  options.services.hybrid-ai.redis = {
    enable = mkOption {
      type = types.bool;
      default = cfg.url == null;
      defaultText = lib.literalExpression "config.services.hybrid-ai.redis.url == null";
      example = false;
      description = ''
        Whether Redis runs on this machine, as `services.redis.servers.hybrid-ai`. With neither this
        nor `url`, the cache is in the coordinator's memory.
      '';
    };

    url = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "rediss://cache.example.org:6379";
      description = ''
        Address of a Redis elsewhere, 8 or later for answers to questions that mean the same. One
        with a password goes into {option}`services.hybrid-ai.coordinator.environmentFile`.
      '';
    };

    maxMemory = mkOption {
      type = types.str;
      default = "512mb";
      example = "2gb";
      description = "Memory for cached answers, as Redis writes it; the least used leave first.";
    };
  };

  config = lib.mkIf hybrid.enable (
    lib.mkMerge [
      {
        services.hybrid-ai.coordinator.settings.redis.url = lib.mkIf (cfg.url != null || cfg.enable) (
          lib.mkDefault (
            if cfg.url != null then
              cfg.url
            else
              "unix://${toString config.services.redis.servers.hybrid-ai.unixSocket}"
          )
        );
      }
      (lib.mkIf cfg.enable {
        services.redis.servers.hybrid-ai = {
          enable = true;
          # No TCP: only who is in the group reaches the socket.
          port = lib.mkDefault 0;
          save = [ ];
          appendOnly = false;
          settings = {
            maxmemory = cfg.maxMemory;
            # Answers and their vectors have a lifetime; what has none is the cache's own books.
            maxmemory-policy = "volatile-lru";
          };
        };

        services.hybrid-ai.relaxations.redis-hybrid-ai = [ ];

        systemd.services.redis-hybrid-ai = {
          wantedBy = [ "hybrid-ai.target" ];
          partOf = [ "hybrid-ai.target" ];
          serviceConfig = {
            Restart = lib.mkDefault "always";
            # Its socket is a file, so it needs no network, unless a host gives it a port as well.
            PrivateNetwork = lib.mkDefault (config.services.redis.servers.hybrid-ai.port == 0);
            OOMPolicy = lib.mkDefault "kill";
          };
        };
      })
    ]
  );
}
