# The options of one systemd unit, typed as NixOS types them: a list repeats a key, a list and a
# scalar for one key are refused, an unknown name is an error. For the evaluation harness; not for
# rendering, which `unit-text.nix` does from what is defined here.
{ lib, pkgs }:
let
  inherit (lib) mkOption types;

  suffixes = "service|socket|device|mount|automount|swap|target|path|timer|scope|slice";
  unitName = types.strMatching "[a-zA-Z0-9@%:_.\\-]+[.](${suffixes})";

  unitNames = mkOption {
    type = types.listOf unitName;
    default = [ ];
  };

  # What a key of a unit file can be. All definitions are lists, which add up, or all are the same scalar.
  unitKey = types.mkOptionType {
    name = "systemd option";
    merge =
      loc: defs:
      let
        highest = lib.filterOverrides defs;
        lists = lib.filter (def: lib.isList def.value) highest;
      in
      if lists == [ ] then
        lib.mergeEqualOption loc highest
      else if lib.length lists == lib.length highest then
        lib.concatMap (def: def.value) highest
      else
        throw ''
          The option ${lib.showOption loc} is given a list in one place and a single value in another;
          systemd units want one or the other: ${lib.options.showDefs highest}'';
  };

  # The values systemd knows for keys that NixOS checks, too. A wrong one would be ignored by systemd.
  oneOf =
    section: key: values: keys:
    let
      value = keys.${key} or null;
      plain = if lib.isAttrs value && value ? content then value.content else value;
    in
    plain == null
    || lib.elem plain values
    || throw ''
      systemd's ${section} key ${key} cannot be ${toString plain}; it is one of
      ${lib.concatStringsSep ", " values}.'';

  serviceKeys = types.addCheck (types.attrsOf unitKey) (
    keys:
    oneOf "Service" "Type" [
      "dbus"
      "exec"
      "forking"
      "idle"
      "notify"
      "notify-reload"
      "oneshot"
      "simple"
    ] keys
    && oneOf "Service" "Restart" [
      "always"
      "no"
      "on-abnormal"
      "on-abort"
      "on-failure"
      "on-success"
      "on-watchdog"
    ] keys
  );

  keysOf =
    type:
    mkOption {
      inherit type;
      default = { };
    };

  lines = mkOption {
    type = types.lines;
    default = "";
  };

  flag =
    default:
    mkOption {
      type = types.bool;
      inherit default;
    };

  ifSet = key: value: lib.optionalAttrs (value != [ ]) { ${key} = toString value; };

  # Every unit: its place among the others.
  common =
    suffix:
    {
      name,
      config,
      options,
      ...
    }:
    {
      options = {
        name = mkOption {
          type = types.str;
          default = "${name}.${suffix}";
        };
        enable = flag true;
        overrideStrategy = mkOption {
          type = types.enum [
            "asDropin"
            "asDropinIfExists"
          ];
          default = "asDropinIfExists";
        };
        aliases = unitNames;
        wantedBy = unitNames;
        requiredBy = unitNames;
        upheldBy = unitNames;
        description = mkOption {
          type = types.singleLineStr;
          default = "";
        };
        documentation = mkOption {
          type = types.listOf types.str;
          default = [ ];
        };
        requires = unitNames;
        requisite = unitNames;
        wants = unitNames;
        upholds = unitNames;
        after = unitNames;
        before = unitNames;
        bindsTo = unitNames;
        partOf = unitNames;
        conflicts = unitNames;
        onFailure = unitNames;
        onSuccess = unitNames;
        unitConfig = keysOf (types.attrsOf unitKey);
        startLimitBurst = mkOption { type = types.int; };
        startLimitIntervalSec = mkOption { type = types.int; };
        restartTriggers = mkOption {
          type = types.listOf types.unspecified;
          default = [ ];
        };
        reloadTriggers = mkOption {
          type = types.listOf unitKey;
          default = [ ];
        };
      };
      config.unitConfig =
        ifSet "Requires" config.requires
        // ifSet "Requisite" config.requisite
        // ifSet "Wants" config.wants
        // ifSet "Upholds" config.upholds
        // ifSet "After" config.after
        // ifSet "Before" config.before
        // ifSet "BindsTo" config.bindsTo
        // ifSet "PartOf" config.partOf
        // ifSet "Conflicts" config.conflicts
        // ifSet "OnFailure" config.onFailure
        // ifSet "OnSuccess" config.onSuccess
        // ifSet "Documentation" config.documentation
        // lib.optionalAttrs (config.description != "") { Description = config.description; }
        // lib.optionalAttrs options.startLimitBurst.isDefined {
          StartLimitBurst = toString config.startLimitBurst;
        }
        // lib.optionalAttrs options.startLimitIntervalSec.isDefined {
          StartLimitIntervalSec = toString config.startLimitIntervalSec;
        };
    };

  # A script of a service becomes a file that stops at its first error.
  scriptFile =
    name: text:
    pkgs.writeShellScript name ''
      set -e

      ${text}
    '';

  service =
    { name, config, ... }:
    let
      job =
        key: suffix: text: wrap:
        lib.mkIf (text != "") { ${key} = wrap "${scriptFile "${lib.replaceStrings [ "@" ] [ "-" ] name}-${suffix}" text}"; };
    in
    {
      imports = [ (common "service") ];
      options = {
        environment = mkOption {
          type = types.attrsOf (
            types.nullOr (
              types.oneOf [
                types.str
                types.path
                types.package
              ]
            )
          );
          default = { };
        };
        path = mkOption {
          type = types.listOf (
            types.oneOf [
              types.package
              types.str
            ]
          );
          default = [ ];
        };
        serviceConfig = keysOf serviceKeys;
        script = lines;
        scriptArgs = mkOption {
          type = types.str;
          default = "";
        };
        preStart = lines;
        postStart = lines;
        reload = lines;
        preStop = lines;
        postStop = lines;
        startAt = mkOption {
          type = types.either types.str (types.listOf types.str);
          default = [ ];
          apply = lib.toList;
        };
        restartIfChanged = flag true;
        reloadIfChanged = flag false;
        stopIfChanged = flag true;
        notSocketActivated = flag false;
        enableStrictShellChecks = flag false;
      };
      config = {
        # What every service of NixOS finds on its PATH, after its own packages.
        path = lib.mkAfter [
          pkgs.coreutils
          pkgs.findutils
          pkgs.gnugrep
          pkgs.gnused
          pkgs.systemd
        ];
        environment.PATH = lib.concatStringsSep ":" [
          (lib.makeBinPath config.path)
          (lib.makeSearchPathOutput "bin" "sbin" config.path)
        ];
        serviceConfig = lib.mkMerge [
          (job "ExecStart" "start" config.script (file: "${file} ${config.scriptArgs}"))
          (job "ExecStartPre" "pre-start" config.preStart lib.singleton)
          (job "ExecStartPost" "post-start" config.postStart lib.singleton)
          (job "ExecReload" "reload" config.reload lib.id)
          (job "ExecStop" "pre-stop" config.preStop lib.id)
          (job "ExecStopPost" "post-stop" config.postStop lib.id)
        ];
      };
    };

  socket = {
    imports = [ (common "socket") ];
    options = {
      listenStreams = mkOption {
        type = types.listOf types.str;
        default = [ ];
      };
      listenDatagrams = mkOption {
        type = types.listOf types.str;
        default = [ ];
      };
      socketConfig = keysOf (types.attrsOf unitKey);
    };
  };

  section = suffix: option: {
    imports = [ (common suffix) ];
    options.${option} = keysOf (types.attrsOf unitKey);
  };

  units =
    module:
    mkOption {
      type = types.attrsOf (types.submodule module);
      default = { };
    };
in
{
  services = units service;
  sockets = units socket;
  timers = units (section "timer" "timerConfig");
  paths = units (section "path" "pathConfig");
  slices = units (section "slice" "sliceConfig");
  targets = units (common "target");
}
