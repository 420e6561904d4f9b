# The name of a job with a letter in the wrong case.
# Says: there is no such job. The jobs are: dashboardData, healthCheck
{
  services.hybrid-ai = {
    enable = true;
    jobs.healthcheck.interval = "5min";
  };
}
