# The pattern extraction: what waits in the queue of interactions that scored high is read by a local
# model, and what can be used again is stored. The job asks the running coordinator to do it and says
# in the journal what came of each; the service itself does the same while nobody asks it anything, so
# the timer is for a machine that is never idle. Off where the settings switch extraction off.
{ config, lib, ... }:
let
  hybrid = config.services.hybrid-ai;
  inherit (hybrid.coordinator.settings) learning;
in
{
  config = lib.mkIf hybrid.enable {
    services.hybrid-ai.jobs.patternExtraction = {
      # Null is on: the default is the coordinator's.
      enable = lib.mkDefault (learning.enable != false && learning.pattern_extraction_enabled != false);
      description = "Extraction of patterns from answers that turned out well";
      subcommand = "extract-patterns";
      # Null where the host gives an interval instead.
      calendar = lib.mkIf (hybrid.jobs.patternExtraction.interval == null) (lib.mkDefault "hourly");
      randomizedDelay = lib.mkDefault "5min";
      # A small model without a graphics card takes minutes for one.
      timeout = lib.mkDefault "55min";
      # EX_TEMPFAIL: the coordinator is not there. What waits is kept, and the next run comes.
      successExitStatus = [ 75 ];
    };
  };
}
