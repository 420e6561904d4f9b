# Options of the coordinator, the gateway itself. What it does with them is in coordinator.nix; the
# settings it reads are in settings.nix.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) literalExpression mkOption types;
  cfg = config.services.hybrid-ai.coordinator;
  secrets = import ./secrets.nix { inherit lib; };
in
{
  options.services.hybrid-ai.coordinator = {
    package = lib.mkPackageOption pkgs "hybrid-coordinator" { };

    host = mkOption {
      type = types.str;
      default = "127.0.0.1";
      example = "0.0.0.0";
      description = ''
        Address to listen on: an IP address, or `localhost`. Any but a loopback address needs
        {option}`services.hybrid-ai.coordinator.apiKeysFile`.
      '';
    };

    port = mkOption {
      type = types.port;
      default = 8092;
      example = 9000;
      description = "Port to listen on.";
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = "Whether other machines may reach the port through this machine's firewall.";
    };

    apiKeysFile = secrets.mkOption {
      example = "/run/secrets/hybrid-ai-keys";
      description = ''
        The keys that clients may use: one a line, `name:key`, or better `name:sha256:hash`, which
        `hybrid-coordinator keys create NAME --file FILE` writes. Each name has a cache and
        knowledge of its own. Without it, whoever reaches the port may ask. See `docs/keys.md`.
      '';
    };

    remote = {
      kind = mkOption {
        type = types.nullOr (
          types.enum [
            "openai"
            "anthropic"
          ]
        );
        default = null;
        example = "anthropic";
        description = ''
          The dialect of the remote API that hard questions go to; null for none. It becomes
          `backends.remote` of {option}`services.hybrid-ai.coordinator.settings`; more than one can
          be declared there.
        '';
      };

      baseUrl = mkOption {
        type = types.nullOr types.str;
        default =
          {
            openai = "https://api.openai.com";
            anthropic = "https://api.anthropic.com";
          }
          .${toString cfg.remote.kind} or null;
        defaultText = lib.literalMD "the official address of `kind`";
        example = "https://openrouter.ai/api";
        description = "Address of the remote API, up to and without `/v1`.";
      };

      models = mkOption {
        type = types.listOf (
          types.submodule {
            freeformType = (pkgs.formats.json { }).type;
            options.name = mkOption {
              type = types.str;
              example = "claude-sonnet-4-5";
              description = "The name the API knows the model by.";
            };
          }
        );
        default = [ ];
        example = [
          {
            name = "claude-sonnet-4-5";
            context_tokens = 200000;
            input_price = 3;
            output_price = 15;
          }
        ];
        description = ''
          Its models, the first is the default. Prices are US dollars per million tokens; they are
          what {option}`services.hybrid-ai.coordinator.settings` `routing.daily_budget_usd` counts.
        '';
      };
    };

    remoteApiKeyFile = secrets.mkOption {
      example = "/run/secrets/anthropic";
      description = "The key of the remote API: of `backends.remote` in the settings.";
    };

    credentials = mkOption {
      type = types.attrsOf types.path;
      default = { };
      example = {
        mistral = "/run/secrets/mistral";
      };
      description = ''
        Further secrets, by the name that the settings call them: with this example,
        `backends.mistral.api_key_file = "mistral"`. An absolute path in such a setting becomes a
        credential by itself, so this is seldom needed.
      '';
    };

    environmentFile = secrets.mkOption {
      example = "/run/secrets/hybrid-ai.env";
      description = ''
        Lines `NAME=value` for settings that are secret themselves, which win over the settings:
        `REDIS_URL=redis://:password@cache.example.org:6379`, say.
      '';
    };

    embedder = {
      package = lib.mkPackageOption pkgs "hybrid-ai-embedding-model" {
        nullable = true;
        extraDescription = ''
          A folder with `model.onnx` and the tokenizer's files. Null: `embedder` of the settings
          says where the model is.
        '';
      };

      dimensions = mkOption {
        type = types.nullOr types.ints.positive;
        default = cfg.embedder.package.dimensions or null;
        defaultText = literalExpression "embedder.package.dimensions or null";
        example = 384;
        description = ''
          Size of the vectors that are stored. A host that states it is protected from a model of
          another size, whose every write the collections would refuse.
        '';
      };
    };

    memoryHigh = mkOption {
      type = types.str;
      default = "3G";
      example = "6G";
      description = "Memory beyond which the coordinator is slowed down, as systemd writes it.";
    };

    memoryMax = mkOption {
      type = types.str;
      default = "4G";
      example = "8G";
      description = "Memory beyond which the coordinator is ended and started again.";
    };

    supplementaryGroups = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "documents" ];
      description = "Groups whose files or sockets the coordinator may use besides its own.";
    };
  };
}
