# A password in an address ends up in the store.
# Says: holds a password
# Says: services.hybrid-ai.coordinator.environmentFile
# Never says: hunter2
{
  services.hybrid-ai = {
    enable = true;
    redis.url = "redis://:hunter2@10.0.0.5:6379";
  };
}
