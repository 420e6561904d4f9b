# What cannot work, each with its remedy in the text, and what can but is risky (warnings). Types and
# single settings are checked where they are declared, or by the coordinator itself in the build of
# its settings file; here is what only shows when the options of several parts are seen together.
{
  config,
  lib,
  ...
}:
let
  hybrid = config.services.hybrid-ai;
  inherit (hybrid)
    coordinator
    lemonade
    monitoring
    nginx
    ollama
    qdrant
    redis
    ;
  inherit (coordinator) settings;
  addresses = import ./addresses.nix { inherit lib; };
  secrets = import ./secrets.nix { inherit lib; };
  inherit (import ./messages.nix { inherit lib; })
    assertion
    joined
    option
    setting
    ;
  onLoopback = addresses.isLoopbackHost coordinator.host;
  everywhere = lib.elem coordinator.host [
    "0.0.0.0"
    "::"
  ];
  hasKeys = settings.api_keys_file != null;
  remoteKeyed = lib.filterAttrs (
    _: backend: backend.api_key_file != null && backend.base_url != null
  ) settings.backends;

  # Secrets.
  secretFiles = {
    ${option "coordinator.apiKeysFile"} = coordinator.apiKeysFile;
    ${option "coordinator.remoteApiKeyFile"} = coordinator.remoteApiKeyFile;
    ${option "coordinator.environmentFile"} = coordinator.environmentFile;
    ${option "qdrant.apiKeyFile"} = qdrant.apiKeyFile;
    ${option "lemonade.apiKeyFile"} = lemonade.apiKeyFile;
    ${option "monitoring.prometheus.apiKeyFile"} = monitoring.prometheus.apiKeyFile;
    ${option "nginx.certificateKey"} = nginx.certificateKey;
  }
  // lib.mapAttrs' (
    name: file: lib.nameValuePair (option "coordinator.credentials.${name}") file
  ) coordinator.credentials;

  references = {
    ${setting "api_keys_file"} = settings.api_keys_file;
    ${setting "qdrant.api_key_file"} = settings.qdrant.api_key_file;
    ${setting "tracing.headers_file"} = settings.tracing.headers_file;
  }
  // lib.mapAttrs' (
    name: backend: lib.nameValuePair (setting "backends.${name}.api_key_file") backend.api_key_file
  ) settings.backends;

  checkReference =
    name: value:
    if value != null && lib.hasPrefix "/" value then
      secrets.assertOutsideStore name value
    else
      {
        # The value is not repeated: it may be the secret itself.
        assertion = value == null || coordinator.loadedCredentials ? ${value};
        message = ''
          ${name} is neither an absolute path nor the name of a credential. If it is the secret
          itself, it is in the Nix store now: replace that secret. Write the new one to a file and
          give the file's path here, or declare it in ${option "coordinator.credentials"}.
        '';
      };

  urls = {
    ${setting "qdrant.url"} = settings.qdrant.url;
    ${setting "redis.url"} = settings.redis.url;
    ${setting "tracing.endpoint"} = settings.tracing.endpoint;
  }
  // lib.mapAttrs' (
    name: backend: lib.nameValuePair (setting "backends.${name}.base_url") backend.base_url
  ) settings.backends;

  # Ports on this machine, by the option that sets each.
  ports = {
    ${option "coordinator.port"} = coordinator.port;
  }
  // lib.optionalAttrs qdrant.enable {
    ${option "qdrant.port"} = qdrant.port;
    "services.qdrant.settings.service.grpc_port" =
      config.services.qdrant.settings.service.grpc_port or 6334;
  }
  // lib.optionalAttrs ollama.enable { ${option "ollama.port"} = ollama.port; }
  // lib.optionalAttrs lemonade.enable { ${option "lemonade.port"} = lemonade.port; };

  samePort = lib.filter (names: lib.length names > 1) (
    lib.attrValues (lib.groupBy (name: toString ports.${name}) (lib.attrNames ports))
  );

  # Parts that can be here or elsewhere.
  eitherHereOrElsewhere = name: part: {
    assertion = !(part.enable && part.url != null);
    message = ''
      ${option name}.enable starts a server on this machine, and ${option name}.url names one
      elsewhere (${toString part.url}). Keep one: remove url, or set enable = false.
    '';
  };

  withoutPart = name: part: file: {
    assertion = file == null || part.enable || part.url != null;
    message = ''
      ${option name}.apiKeyFile is the key of a server that is neither here nor elsewhere. Set
      ${option name}.enable or ${option name}.url, or remove the key.
    '';
  };

  writtenJobs = lib.attrNames (lib.filterAttrs (_: job: job.subcommand != null) hybrid.jobs);

  assertJob =
    name: job:
    if job.subcommand == null then
      {
        assertion = false;
        message = ''
          ${option "jobs.${name}"}: there is no such job. The jobs are: ${lib.concatStringsSep ", " writtenJobs}.
        '';
      }
    else
      {
        assertion = !job.enable || (job.interval == null) != (job.calendar == null);
        message = ''
          ${option "jobs.${name}"} needs either `interval` (as "5min") or `calendar` (as "daily"), and
          not both: it says when the job runs.
        '';
      };

  assertModel = name: file: {
    assertion = builtins.match "[^/]+" name != null && !lib.hasPrefix "/home/" (toString file);
    message = ''
      ${option "lemonade.models"}.${name}: ${
        if lib.hasInfix "/" name then
          "the name becomes a file's name: write it without '/'"
        else
          "the service cannot read below /home: move the file elsewhere, to /srv/models say"
      }.
    '';
  };

  assertUnit = unit: _: {
    assertion =
      let
        service = config.systemd.services.${unit};
      in
      service.serviceConfig ? ExecStart || service.script != "";
    message = ''
      ${option "relaxations.${unit}"}: this machine has no unit ${unit}.service. Correct the name, or
      remove the line.
    '';
  };

  reserved = [
    "api-keys"
    "remote-api-key"
    "qdrant-api-key"
    "lemonade-api-key"
  ];

  modelSize = coordinator.embedder.package.dimensions or null;
in
{
  config = lib.mkIf hybrid.enable {
    assertions = map assertion (
      lib.mapAttrsToList secrets.assertOutsideStore secretFiles
      ++ lib.mapAttrsToList checkReference references
      ++ lib.mapAttrsToList (name: url: {
        assertion = url == null || !addresses.hasPassword url;
        message = ''
          ${name} holds a password, and it would be in the Nix store, which everybody can read. Put
          it into ${option "coordinator.environmentFile"} (REDIS_URL=…), or use its api_key_file or headers_file.
        '';
      }) urls
      ++ lib.mapAttrsToList assertJob hybrid.jobs
      ++ lib.mapAttrsToList assertModel lemonade.models
      ++ lib.mapAttrsToList assertUnit hybrid.relaxations
      ++ map (names: {
        assertion = false;
        message = ''
          ${lib.concatStringsSep " and " names} are both ${
            toString ports.${lib.head names}
          }: two servers cannot listen on one port. Give one of them another.
        '';
      }) samePort
      ++ [
        (eitherHereOrElsewhere "qdrant" qdrant)
        (eitherHereOrElsewhere "redis" redis)
        (eitherHereOrElsewhere "ollama" ollama)
        (eitherHereOrElsewhere "lemonade" lemonade)
        (withoutPart "qdrant" qdrant qdrant.apiKeyFile)
        (withoutPart "lemonade" lemonade lemonade.apiKeyFile)
        {
          assertion = addresses.isAddress coordinator.host;
          message = ''
            ${option "coordinator.host"} = "${coordinator.host}" is a name. Write the IP address to
            listen on: "127.0.0.1", "0.0.0.0" for every one of this machine, or the one you mean.
          '';
        }
        {
          assertion = onLoopback || hasKeys;
          message = ''
            ${option "coordinator.host"} = "${coordinator.host}" lets other machines ask, and there
            are no keys: whoever reaches port ${toString coordinator.port} could spend your budget and
            read what was taught. Set ${option "coordinator.apiKeysFile"} (one `name:key` a line), or
            set ${option "coordinator.host"} = "127.0.0.1".
          '';
        }
        {
          # The wildcard addresses are no name that a request could carry.
          assertion = !(everywhere && hasKeys) || settings.server.allowed_hosts != [ ];
          message = ''
            ${option "coordinator.host"} = "${coordinator.host}" lets other machines connect, and each of
            their requests would be refused, since no name of this machine is known. List those that
            clients use, addresses included: ${setting "server.allowed_hosts"} = [ "ai.example.org" "192.168.1.20" ];
          '';
        }
        {
          assertion = !(coordinator.openFirewall && onLoopback);
          message = ''
            ${option "coordinator.openFirewall"} opens a port that only this machine can reach, since
            ${option "coordinator.host"} is "${coordinator.host}". Set the host to "0.0.0.0" with
            ${option "coordinator.apiKeysFile"}, use ${option "nginx"}, or leave the firewall closed.
          '';
        }
        {
          assertion = settings.backends != { };
          message = ''
            Nothing could answer a question: Lemonade and Ollama are off and no remote API is
            declared. Set ${option "lemonade.enable"} or ${option "ollama.enable"}, name a server
            elsewhere by their `url`, or declare ${option "coordinator.remote.kind"}.
          '';
        }
        {
          assertion =
            modelSize == null
            || coordinator.embedder.dimensions == null
            || modelSize == coordinator.embedder.dimensions;
          message = ''
            ${option "coordinator.embedder.package"} makes vectors of ${toString modelSize} numbers, but
            ${option "coordinator.embedder.dimensions"} says that those stored have ${toString coordinator.embedder.dimensions}: every
            write would be refused. Take a model of that size, or correct `dimensions` and, where
            vectors are stored already, run `hybrid-coordinator reindex` while the service is stopped.
          '';
        }
        {
          assertion =
            coordinator.embedder.package != null
            || settings.embedder.folder or null != null
            || lib.hasPrefix "/" (settings.embedder.model or "");
          message = ''
            There is no embedding model: ${option "coordinator.embedder.package"} is null. Remove that
            line, or set ${setting "embedder.folder"} to a folder with model.onnx and the tokenizer's
            files (the service downloads nothing).
          '';
        }
        {
          assertion = coordinator.remote.kind == null || coordinator.remote.models != [ ];
          message = ''
            ${option "coordinator.remote.kind"} is set, but ${option "coordinator.remote.models"} is
            empty. Name at least one model, with its prices: [ { name = "…"; input_price = 3; output_price = 15; } ].
          '';
        }
        {
          assertion =
            coordinator.remoteApiKeyFile == null
            || settings.backends.remote.api_key_file or null == "remote-api-key";
          message = ''
            ${option "coordinator.remoteApiKeyFile"} is the key of a remote API that is not declared.
            Set ${option "coordinator.remote.kind"}, or ${setting "backends.remote"} with
            api_key_file = "remote-api-key".
          '';
        }
        {
          assertion =
            !hybrid.jobs.patternExtraction.enable
            || settings.learning.enable != false && settings.learning.pattern_extraction_enabled != false;
          message = ''
            ${option "jobs.patternExtraction"}.enable = true has a job run that the settings leave nothing
            to do for. Remove that line, or remove ${setting "learning.enable"} = false and
            ${setting "learning.pattern_extraction_enabled"} = false.
          '';
        }
        {
          assertion = lib.intersectLists reserved (lib.attrNames coordinator.credentials) == [ ];
          message = ''
            ${option "coordinator.credentials"} uses a name that an option of its own sets
            (${lib.concatStringsSep ", " reserved}). Use that option, or another name.
          '';
        }
      ]
    );

    warnings = map joined (
      lib.optional (!onLoopback && !nginx.enable) ''
        ${option "coordinator.host"} = "${coordinator.host}": keys and questions cross the network
        unencrypted. ${option "nginx"} adds TLS; a VPN will do as well.
      ''
      ++ lib.optional (lib.elem "*" settings.server.allowed_hosts) ''
        ${setting "server.allowed_hosts"} accepts any name, so pages of other sites can reach the
        gateway through a browser (DNS rebinding). List the names that clients use.
      ''
      ++ lib.mapAttrsToList
        (name: backend: ''
          ${setting "backends.${name}"} sends its key unencrypted to ${addresses.hostOf backend.base_url}.
          Use https://.
        '')
        (
          lib.filterAttrs (
            _: backend: lib.hasPrefix "http:" backend.base_url && !addresses.isLocalUrl backend.base_url
          ) remoteKeyed
        )
      ++ lib.optional (
        redis.enable && lib.versionOlder (lib.getVersion config.services.redis.package) "8"
      ) ''
        services.redis.package has no vector sets (Redis 8 has): only equal questions are answered from
        the cache, not those that mean the same.
      ''
    );
  };
}
