# Everything at once: keys for clients, stores and model servers, a paid API (a stand-in on this
# machine), Prometheus, Grafana, nginx with TLS, the jobs, and a unit to call when something fails.
{ pkgs, ... }:
let
  makeCertificate = pkgs.writeShellScript "make-test-certificate" ''
    set -efu
    cd /run/test-certificate
    ${pkgs.openssl}/bin/openssl req -x509 -newkey rsa:2048 -nodes -days 30 \
      -subj /CN=ai.example.org -addext subjectAltName=DNS:ai.example.org \
      -keyout key.pem -out certificate.pem
    chgrp nginx key.pem
    chmod 0640 key.pem
  '';
in
{
  imports = [
    ./common.nix
    ./parts/fake-local.nix
    ./parts/fake-remote.nix
    ./parts/lemonade.nix
  ];

  tests.fakeRemote.keyFile = "/run/test-secrets/remote";

  services.hybrid-ai = {
    enable = true;
    onFailure = [ "failure-hook@%n.service" ];

    coordinator = {
      apiKeysFile = "/run/test-secrets/api-keys";
      remoteApiKeyFile = "/run/test-secrets/remote";
      remote = {
        kind = "openai";
        baseUrl = "http://127.0.0.1:8099";
        models = [
          {
            name = "fake-large";
            context_tokens = 32768;
            input_price = 3;
            output_price = 15;
          }
        ];
      };
      settings.backends = {
        ollama = {
          probe_interval = 1;
          breaker_reset = 1;
        };
        remote = {
          probe_interval = 1;
          breaker_reset = 1;
          # Many slow streams at a time.
          max_concurrency = 64;
        };
      };
    };

    qdrant.apiKeyFile = "/run/test-secrets/qdrant";
    lemonade.apiKeyFile = "/run/test-secrets/lemonade";
    ollama = {
      acceleration = "cpu";
      # Nothing can be downloaded in a test.
      models = [ ];
    };

    jobs = {
      healthCheck = {
        interval = "1min";
        # Ollama has no model here, which is a warning at every check.
        successExitStatus = [ 1 ];
      };
      # Tests wait for them to run by themselves.
      dashboardData.interval = "30s";
      patternExtraction = {
        interval = "1min";
        randomizedDelay = "0";
      };
    };

    monitoring = {
      prometheus = {
        enable = true;
        apiKeyFile = "/run/test-secrets/prometheus";
        interval = "2s";
        alerts.enable = true;
      };
      grafana.enable = true;
    };

    nginx = {
      enable = true;
      virtualHost = "ai.example.org";
      certificate = "/run/test-certificate/certificate.pem";
      certificateKey = "/run/test-certificate/key.pem";
    };
  };

  services.prometheus = {
    enable = true;
    listenAddress = "127.0.0.1";
  };

  services.grafana = {
    enable = true;
    settings.security = {
      admin_password = "only-for-tests";
      secret_key = "only-for-tests";
    };
  };

  systemd.services = {
    "failure-hook@" = {
      description = "What the tests look for when %i has failed";
      script = ''
        echo "failed: $1"
      '';
      scriptArgs = "%i";
      serviceConfig.Type = "oneshot";
    };

    test-certificate = {
      description = "Certificate of the tests, made at boot";
      before = [ "nginx.service" ];
      requiredBy = [ "nginx.service" ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        RuntimeDirectory = "test-certificate";
        RuntimeDirectoryMode = "0755";
        ExecStart = "${makeCertificate}";
      };
    };
  };
}
