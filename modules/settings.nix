# The coordinator's settings: free in form (RFC 42), typed where the modules read them, and
# generated to one JSON file that the coordinator itself checks in the build. Secrets become names of
# credentials on the way. What each part adds to the settings is in that part's file.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.hybrid-ai.coordinator;
  format = pkgs.formats.json { };

  optional =
    type: example: description:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit example description;
    };

  section =
    options:
    mkOption {
      type = types.submodule {
        freeformType = format.type;
        inherit options;
      };
      default = { };
      description = "See `coordinator/settings.schema.json` for all of this section.";
    };

  backend = types.submodule {
    freeformType = format.type;
    options = {
      kind = mkOption {
        type = types.enum [
          "lemonade"
          "ollama"
          "openai"
          "anthropic"
          "embedded"
        ];
        example = "openai";
        description = "Which protocol the backend speaks.";
      };
      base_url = optional types.str "http://192.168.1.20:8000" "Its address, up to and without `/v1`.";
      tier = mkOption {
        type = types.enum [
          "local"
          "remote"
        ];
        default = "local";
        example = "remote";
        description = "Whether an answer is free (`local`) or paid for (`remote`).";
      };
      api_key_file = optional types.str "/run/secrets/mistral" ''
        Where its key is: an absolute path, which is handed to the service as a credential, or the
        name of a credential.
      '';
    };
  };

  # Unset options are left out: their defaults are the coordinator's, not ours.
  withoutNulls =
    value:
    if lib.isAttrs value && !lib.isDerivation value then
      lib.mapAttrs (_: withoutNulls) (lib.filterAttrs (_: inner: inner != null) value)
    else
      value;

  # A secret in the settings that is an absolute path, as the credential it becomes.
  isPath = reference: reference != null && lib.hasPrefix "/" (toString reference);
  secretsByPath =
    lib.optionalAttrs (isPath (cfg.settings.api_keys_file or null)) {
      settings-api-keys = cfg.settings.api_keys_file;
    }
    // lib.optionalAttrs (isPath (cfg.settings.qdrant.api_key_file or null)) {
      settings-qdrant = cfg.settings.qdrant.api_key_file;
    }
    // lib.optionalAttrs (isPath (cfg.settings.tracing.headers_file or null)) {
      settings-tracing = cfg.settings.tracing.headers_file;
    }
    // lib.mapAttrs' (name: value: lib.nameValuePair "settings-backend-${name}" value.api_key_file) (
      lib.filterAttrs (_: value: isPath value.api_key_file) cfg.settings.backends
    );
  named = credential: reference: if isPath reference then credential else reference;

  final = withoutNulls (
    cfg.settings
    // {
      api_keys_file = named "settings-api-keys" cfg.settings.api_keys_file;
      qdrant = cfg.settings.qdrant // {
        api_key_file = named "settings-qdrant" cfg.settings.qdrant.api_key_file;
      };
      tracing = cfg.settings.tracing // {
        headers_file = named "settings-tracing" cfg.settings.tracing.headers_file;
      };
      backends = lib.mapAttrs (
        name: value: value // { api_key_file = named "settings-backend-${name}" value.api_key_file; }
      ) cfg.settings.backends;
    }
  );
in
{
  options.services.hybrid-ai.coordinator = {
    settings = mkOption {
      type = types.submodule {
        freeformType = format.type;
        options = {
          api_keys_file = optional types.str "api-keys" ''
            Set by {option}`services.hybrid-ai.coordinator.apiKeysFile`.
          '';
          backends = mkOption {
            type = types.attrsOf backend;
            default = { };
            example = {
              mistral = {
                kind = "openai";
                base_url = "https://api.mistral.ai";
                tier = "remote";
                api_key_file = "/run/secrets/mistral";
                models = [ { name = "mistral-large-latest"; } ];
              };
            };
            description = ''
              What answers questions, by a name of your choice. `lemonade`, `ollama` and `remote` are
              declared by the options of the same names.
            '';
          };
          learning = section {
            enable = optional types.bool false ''
              Whether interactions are kept, which is what everything else is learned from; on where
              unset.
            '';
            pattern_extraction_enabled = optional types.bool false ''
              Whether a local model draws patterns from interactions that scored high; on where
              unset. {option}`services.hybrid-ai.jobs.patternExtraction` follows it.
            '';
          };
          log_level = optional (types.enum [
            "debug"
            "info"
            "warning"
            "error"
          ]) "debug" "How much is logged; `info` where unset.";
          qdrant = section {
            url =
              optional types.str "http://127.0.0.1:6333"
                "Set by {option}`services.hybrid-ai.qdrant.url`.";
            api_key_file =
              optional types.str "qdrant-api-key"
                "Set by {option}`services.hybrid-ai.qdrant.apiKeyFile`.";
          };
          redis = section {
            url =
              optional types.str "redis://192.168.1.20:6379"
                "Set by {option}`services.hybrid-ai.redis.url`.";
          };
          server = section {
            grace_period = mkOption {
              type = types.addCheck types.number (seconds: seconds > 0);
              default = 30;
              example = 60;
              description = "Seconds that open answers may take when the service is stopped.";
            };
            allowed_hosts = mkOption {
              type = types.listOf types.str;
              default = [ ];
              example = [ "ai.example.org" ];
              description = ''
                Host headers that are accepted besides loopback names and
                {option}`services.hybrid-ai.coordinator.host`; `*` for any.
              '';
            };
          };
          tracing = section {
            endpoint = optional types.str "http://127.0.0.1:4318" ''
              A collector that takes OpenTelemetry's traces (OTLP over HTTP), without `/v1/traces`;
              none are made where unset. See `docs/tracing.md`.
            '';
            headers_file = optional types.str "/run/secrets/hybrid-ai-tracing" ''
              Where headers for it are, `name: value` a line: an absolute path, which is handed to
              the service as a credential, or the name of a credential.
            '';
          };
        };
      };
      default = { };
      example = {
        routing = {
          local_confidence_threshold = 0.8;
          daily_budget_usd = 2;
        };
        retrieval.token_budget = 2000;
        learning = {
          high_value_threshold = 0.8;
          retention_days = 90;
          share = true;
        };
      };
      description = ''
        Settings of the coordinator, by its own names: `coordinator/settings.schema.json` has all of
        them. They are checked when the system is built.
      '';
    };

    settingsFile = mkOption {
      type = types.package;
      readOnly = true;
      description = "The generated settings file, checked by the coordinator in its build.";
    };

    loadedCredentials = mkOption {
      type = types.attrsOf types.path;
      internal = true;
      readOnly = true;
      description = "Every secret that the settings name: the name of the credential, and its file.";
    };
  };

  config = lib.mkIf config.services.hybrid-ai.enable {
    services.hybrid-ai.coordinator = {
      settings = {
        inherit (cfg) host port;
        state_directory = "/var/lib/hybrid-ai";
        api_keys_file = lib.mkIf (cfg.apiKeysFile != null) (lib.mkDefault "api-keys");
        embedder = lib.mkIf (cfg.embedder.package != null) {
          folder = lib.mkDefault "${cfg.embedder.package}";
        };
        backends.remote = lib.mkIf (cfg.remote.kind != null) {
          kind = lib.mkDefault cfg.remote.kind;
          base_url = lib.mkDefault cfg.remote.baseUrl;
          tier = lib.mkDefault "remote";
          models = lib.mkDefault cfg.remote.models;
          api_key_file = lib.mkIf (cfg.remoteApiKeyFile != null) (lib.mkDefault "remote-api-key");
        };
      };

      settingsFile = import ./checked-settings.nix {
        inherit (pkgs) runCommandLocal;
        coordinator = cfg.package;
        settingsFile = format.generate "settings-unchecked.json" final;
      };

      loadedCredentials =
        lib.filterAttrs (_: file: file != null) {
          api-keys = cfg.apiKeysFile;
          remote-api-key = cfg.remoteApiKeyFile;
          qdrant-api-key = config.services.hybrid-ai.qdrant.apiKeyFile;
          lemonade-api-key = config.services.hybrid-ai.lemonade.apiKeyFile;
        }
        // secretsByPath
        // cfg.credentials;
    };
  };
}
