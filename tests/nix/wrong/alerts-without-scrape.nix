# Alerts about metrics that nobody scrapes.
# Says: nobody scrapes
# Says: services.hybrid-ai.monitoring.prometheus.enable = true
{
  services.prometheus.enable = true;
  services.hybrid-ai = {
    enable = true;
    monitoring.prometheus.alerts.enable = true;
  };
}
