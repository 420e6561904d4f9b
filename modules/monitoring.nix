# Prometheus and Grafana, where this host runs them: a scrape of the coordinator and rules of what is
# worth an alert; Prometheus as a data source, and a board. Neither is started here. Rules and board
# are in monitoring/.
{
  config,
  lib,
  ...
}:
let
  hybrid = config.services.hybrid-ai;
  cfg = hybrid.monitoring;
  addresses = import ./addresses.nix { inherit lib; };
  secrets = import ./secrets.nix { inherit lib; };
  inherit (import ./messages.nix { inherit lib; }) assertion option;
  hasKeys = hybrid.coordinator.settings.api_keys_file != null;
  withKey = cfg.prometheus.apiKeyFile != null;

  prometheus = config.services.prometheus;
  scraped = addresses.fromHere hybrid.coordinator.host hybrid.coordinator.port;
in
{
  options.services.hybrid-ai.monitoring = {
    prometheus = {
      enable = lib.mkEnableOption ''
        the scrape of the coordinator's metrics by the Prometheus of this host, which
        {option}`services.prometheus.enable` starts'';

      apiKeyFile = secrets.mkOption {
        example = "/run/secrets/hybrid-ai-prometheus";
        description = ''
          The key that Prometheus sends, the key alone: one of those in
          {option}`services.hybrid-ai.coordinator.apiKeysFile`, needed where that is set.
        '';
      };

      interval = lib.mkOption {
        type = lib.types.str;
        default = "15s";
        example = "1m";
        description = "Time between two scrapes.";
      };

      alerts.enable = lib.mkEnableOption ''
        the alert rules in `modules/monitoring/alerts.yml`. What each means and what to do is in
        `docs/operations.md`; who is told is up to {option}`services.prometheus.alertmanagers`'';
    };

    grafana.enable = lib.mkEnableOption ''
      Prometheus as a data source of the Grafana of this host, which
      {option}`services.grafana.enable` starts, and the board `hybrid-ai` on it'';
  };

  config = lib.mkIf hybrid.enable (
    lib.mkMerge [
      {
        assertions = map assertion [
          {
            assertion = !cfg.prometheus.enable || config.services.prometheus.enable;
            message = ''
              ${option "monitoring.prometheus.enable"} adds a scrape to a Prometheus that this machine
              does not run. Set services.prometheus.enable = true, or remove the line.
            '';
          }
          {
            assertion = !cfg.prometheus.alerts.enable || cfg.prometheus.enable;
            message = ''
              ${option "monitoring.prometheus.alerts.enable"} judges metrics that nobody scrapes: the
              coordinator would be reported as down. Set ${option "monitoring.prometheus.enable"} =
              true, or remove the line.
            '';
          }
          {
            assertion = !cfg.prometheus.enable || (cfg.prometheus.apiKeyFile != null) == hasKeys;
            message = ''
              The metrics need a key exactly where ${option "coordinator.apiKeysFile"} is set. Give
              Prometheus one of its own: add a line `prometheus:<key>` there, and put the key alone into
              the file that ${option "monitoring.prometheus.apiKeyFile"} names.
            '';
          }
          {
            assertion =
              !cfg.grafana.enable
              || (config.services.grafana.enable && config.services.prometheus.enable);
            message = ''
              ${option "monitoring.grafana.enable"} shows the Prometheus of this machine in its Grafana:
              set services.grafana.enable and services.prometheus.enable, or remove the line.
            '';
          }
        ];
      }
      (lib.mkIf cfg.prometheus.enable {
        services.prometheus.scrapeConfigs = [
          (
            {
              job_name = "hybrid-ai";
              scrape_interval = cfg.prometheus.interval;
              static_configs = [ { targets = [ scraped ]; } ];
            }
            // lib.optionalAttrs withKey {
              authorization.credentials_file = "/run/credentials/prometheus.service/hybrid-ai";
            }
          )
        ];
      })
      (lib.mkIf (cfg.prometheus.enable && withKey) {
        # The whole check would look for the key's file in the build.
        services.prometheus.checkConfig = lib.mkDefault "syntax-only";
        systemd.services.prometheus.serviceConfig.LoadCredential = [
          "hybrid-ai:${toString cfg.prometheus.apiKeyFile}"
        ];
      })
      (lib.mkIf cfg.prometheus.alerts.enable {
        services.prometheus.ruleFiles = [ ./monitoring/alerts.yml ];
      })
      (lib.mkIf cfg.grafana.enable {
        services.grafana.provision = {
          enable = true;
          datasources.settings.datasources = [
            {
              name = "hybrid-ai";
              uid = "hybrid-ai";
              type = "prometheus";
              access = "proxy";
              url = "http://127.0.0.1:${toString prometheus.port}";
              # Grafana's own guess is 15 s, and rates over less than four scrapes are gaps.
              jsonData.timeInterval = cfg.prometheus.interval;
            }
          ];
          dashboards.settings.providers = [
            {
              name = "hybrid-ai";
              options.path = "${./monitoring/grafana}";
            }
          ];
        };
      })
    ]
  );
}
