# The settings file, checked while it is built by the program that will read it: a wrong option
# fails `nixos-rebuild` with the option's name, not the service at its start. The result is the file
# as it was.
{
  runCommandLocal,
  coordinator,
  settingsFile,
}:
runCommandLocal "settings.json" { } ''
  ${coordinator}/bin/hybrid-coordinator check-config ${settingsFile}
  cat ${settingsFile} > $out
''
