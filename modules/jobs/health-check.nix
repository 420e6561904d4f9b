# The health check: every part's readiness, one line a part in the journal, and an exit status that
# tells: 0 all is well, 1 a part that others stand in for is not, 2 questions cannot be answered, 3
# the check itself could not be made. Any but 0 fails the unit and calls `onFailure`; what is only on
# its way (a model that loads) does not, for `health.start_grace` seconds.
{ config, lib, ... }:
{
  config = lib.mkIf config.services.hybrid-ai.enable {
    services.hybrid-ai.jobs.healthCheck = {
      description = "Health of the AI gateway and its parts";
      subcommand = "health";
      # Null where the host gives a calendar instead.
      interval = lib.mkIf (config.services.hybrid-ai.jobs.healthCheck.calendar == null) (
        lib.mkDefault "1min"
      );
      timeout = lib.mkDefault "1min";
    };
  };
}
