# The sandbox every unit of the stack starts from, and the named exceptions to it, each with its
# reason. `services.hybrid-ai.relaxations.<unit>` puts a unit into the sandbox. Not for limits of
# memory or time: those are with each service.
{ config, lib, ... }:
let
  cfg = config.services.hybrid-ai;

  # Nothing but: the unit's own state directory, loopback, and the system calls of a server.
  strict = {
    AmbientCapabilities = "";
    CapabilityBoundingSet = "";
    DevicePolicy = "closed";
    # What the unit itself opens. Sockets that systemd passes are filtered by their socket unit.
    IPAddressAllow = [ "localhost" ];
    IPAddressDeny = [ "any" ];
    KeyringMode = "private";
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    NoNewPrivileges = true;
    PrivateDevices = true;
    PrivateIPC = true;
    PrivateMounts = true;
    PrivateTmp = true;
    # Other users' ids read as nobody inside. Access by a supplementary group still counts, since
    # the kernel compares its own ids: that is how the coordinator opens the socket of Redis.
    PrivateUsers = true;
    ProcSubset = "pid";
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHome = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectProc = "invisible";
    ProtectSystem = "strict";
    # Where /proc is mounted anew for a unit, systemd leaves /run writable in spite of ProtectSystem.
    # The unit's own runtime directory stays writable, and sockets can be connected to.
    ReadOnlyPaths = [ "/run" ];
    RemoveIPC = true;
    RestrictAddressFamilies = [
      "AF_UNIX"
      "AF_INET"
      "AF_INET6"
    ];
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    # Shared memory of its own: PrivateTmp and PrivateDevices leave everybody's in place.
    TemporaryFileSystem = [ "/dev/shm:mode=1777" ];
    SystemCallArchitectures = "native";
    SystemCallErrorNumber = "EPERM";
    SystemCallFilter = [
      "@system-service"
      "~@privileged @resources @keyring"
    ];
    UMask = "0077";
  };

  # name → why a unit may need it, and what it changes.
  named = {
    network = {
      reason = "it speaks to other machines: a remote API, stores elsewhere, or models to download";
      settings = {
        IPAddressAllow = null;
        IPAddressDeny = null;
      };
    };
    executable-memory = {
      reason = "ONNX Runtime and ggml make machine code while they run";
      settings.MemoryDenyWriteExecute = false;
    };
    whole-proc = {
      reason = "numeric libraries read /proc/cpuinfo and /proc/meminfo to choose their kernels";
      settings.ProcSubset = "all";
    };
    scheduling = {
      reason = "llama.cpp sets the priority and the processors of its own threads";
      settings.SystemCallFilter = [
        "@system-service"
        "~@privileged @keyring"
      ];
    };
    accelerator = {
      reason = "graphics cards and neural processors are devices below /dev";
      settings = {
        DeviceAllow = [
          "char-drm rw"
          "char-kfd rw"
          "char-accel rw"
          "char-nvidiactl rw"
          "char-nvidia-caps rw"
          "char-nvidia-frontend rw"
          "char-nvidia-uvm rw"
        ];
        PrivateDevices = false;
        # The devices belong to these groups.
        SupplementaryGroups = [
          "render"
          "video"
        ];
      };
    };
  };

  relaxed = names: lib.foldl' (set: name: set // named.${name}.settings) strict names;

  # Defaults, so that nixpkgs' own modules and a host's own settings win over them. Groups add up.
  sandbox =
    names:
    lib.mapAttrs (key: value: if key == "SupplementaryGroups" then value else lib.mkDefault value) (
      lib.filterAttrs (_: value: value != null) (relaxed names)
    );
in
{
  options.services.hybrid-ai.relaxations = lib.mkOption {
    type = lib.types.attrsOf (lib.types.listOf (lib.types.enum (lib.attrNames named)));
    default = { };
    example = {
      lemonade-server = [ "accelerator" ];
    };
    description = ''
      Named exceptions to the sandbox, by the unit's name without `.service`. What the stack itself
      needs is in the list already; a host adds to it. The names:

      ${lib.concatStringsSep "\n" (
        lib.mapAttrsToList (name: { reason, ... }: "- `${name}`: ${reason}") named
      )}
    '';
  };

  config = lib.mkIf cfg.enable {
    systemd.services = lib.mapAttrs (_: names: {
      serviceConfig = sandbox (lib.unique names);
    }) cfg.relaxations;
  };
}
