# A scrape without a Prometheus.
# Says: does not run
# Says: Set services.prometheus.enable = true
{
  services.hybrid-ai = {
    enable = true;
    monitoring.prometheus.enable = true;
  };
}
