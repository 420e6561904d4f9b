# A job that is wanted, of something that is switched off.
# Says: services.hybrid-ai.jobs.patternExtraction.enable = true
# Says: Remove that line
{
  services.hybrid-ai = {
    enable = true;
    jobs.patternExtraction.enable = true;
    coordinator.settings.learning.pattern_extraction_enabled = false;
  };
}
