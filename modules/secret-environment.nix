# For a server that takes its key only from its environment: the key's file, which holds the key and
# nothing else, becomes a credential, and that one line of environment in the unit's own runtime
# directory just before the start. So one file serves both sides, and the key is in no unit, no store
# path and no process but the server's own. Not a module: gives a part of `serviceConfig`.
{ lib, pkgs }:
{
  unit,
  variable,
  file,
}:
let
  write = pkgs.writeShellScript "${unit}-key" ''
    set -efu
    LC_ALL=C
    key=$(< "$CREDENTIALS_DIRECTORY/api-key")
    # Quotes, backslashes and blanks would be read otherwise than they were written.
    case $key in
      "" | *[!A-Za-z0-9._~+/=:@-]*)
        echo "${toString file} must hold the key alone, on one line, of letters, digits and . _ ~ + / = : @ -" >&2
        exit 78
        ;;
    esac
    umask 077
    printf '%s=%s\n' ${lib.escapeShellArg variable} "$key" > "$RUNTIME_DIRECTORY/environment"
  '';
in
{
  LoadCredential = [ "api-key:${toString file}" ];
  RuntimeDirectory = unit;
  RuntimeDirectoryMode = "0700";
  ExecStartPre = [ "${write}" ];
  # Read anew for each command of the unit: it is not there yet for the one that writes it.
  EnvironmentFile = [ "-/run/${unit}/environment" ];
}
