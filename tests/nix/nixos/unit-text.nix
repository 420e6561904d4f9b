# The text of a unit file from the evaluated options of a unit, as systemd reads it and in the
# shape NixOS writes it: sections with sorted keys, a list as a repeated key, booleans as true and
# false. Restart triggers are left out: they only mean something to NixOS' own switch.
{ lib }:
let
  value = x: if lib.isBool x then lib.boolToString x else toString x;

  keys =
    section:
    lib.concatStrings (
      lib.concatLists (
        lib.mapAttrsToList (name: v: map (x: "${name}=${value x}\n") (lib.toList v)) section
      )
    );

  unit = def: "[Unit]\n${keys def.unitConfig}";

  install =
    def:
    lib.optionalString (def.wantedBy != [ ]) "\n[Install]\nWantedBy=${toString def.wantedBy}\n";

  # Quoted as JSON quotes: systemd reads the same escapes.
  environment =
    variables:
    lib.concatStrings (
      lib.mapAttrsToList (
        name: v: lib.optionalString (v != null) "Environment=${builtins.toJSON "${name}=${v}"}\n"
      ) variables
    );

  switching =
    def:
    lib.optionalString (!def.restartIfChanged) "X-RestartIfChanged=false\n"
    + lib.optionalString def.reloadIfChanged "X-ReloadIfChanged=true\n"
    + lib.optionalString (!def.stopIfChanged) "X-StopIfChanged=false\n"
    + lib.optionalString def.notSocketActivated "X-NotSocketActivated=true\n";

  section =
    name: attribute: def:
    "${unit def}\n[${name}]\n${keys def.${attribute}}${install def}";
in
{
  services =
    def:
    "${unit def}\n[Service]\n"
    + environment def.environment
    + switching def
    + keys def.serviceConfig
    + install def;
  sockets =
    def:
    "${unit def}\n[Socket]\n${keys def.socketConfig}"
    + keys {
      ListenStream = def.listenStreams;
      ListenDatagram = def.listenDatagrams;
    }
    + install def;
  timers = section "Timer" "timerConfig";
  paths = section "Path" "pathConfig";
  slices = section "Slice" "sliceConfig";
  targets = def: "${unit def}${install def}";
}
