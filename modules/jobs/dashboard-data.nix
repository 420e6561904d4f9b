# The dashboard's data: what the running coordinator counted of questions, routes, savings, learning
# and collections, in four JSON files below the state directory, for whatever reads files. Without a
# coordinator the files are written too, and say that it is down; that is no failure of the job.
{ config, lib, ... }:
{
  config = lib.mkIf config.services.hybrid-ai.enable {
    services.hybrid-ai.jobs.dashboardData = {
      description = "Figures of the AI gateway in files, for dashboards";
      subcommand = "dashboard-data";
      # Null where the host gives a calendar instead.
      interval = lib.mkIf (config.services.hybrid-ai.jobs.dashboardData.calendar == null) (
        lib.mkDefault "1min"
      );
      timeout = lib.mkDefault "2min";
      # EX_TEMPFAIL: the coordinator is not there, and the files say so.
      successExitStatus = [ 75 ];
    };
  };
}
