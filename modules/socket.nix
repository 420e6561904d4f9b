# The port of the coordinator, held by systemd, so that no client is refused while the service
# restarts: what arrives meanwhile waits in the socket.
{ config, lib, ... }:
let
  hybrid = config.services.hybrid-ai;
  cfg = hybrid.coordinator;
  addresses = import ./addresses.nix { inherit lib; };
  onLoopback = addresses.isLoopbackHost cfg.host;

  unit = "etc/systemd/system/hybrid-coordinator.socket";
in
{
  config = lib.mkIf hybrid.enable {
    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall [ cfg.port ];

    systemd.sockets.hybrid-coordinator = {
      description = "Port of the AI gateway";
      wantedBy = [
        "sockets.target"
        "hybrid-ai.target"
      ];
      partOf = [ "hybrid-ai.target" ];
      listenStreams = addresses.listenStreams cfg.host cfg.port;
      socketConfig = {
        Accept = false;
        Backlog = 2048;
        # Nagle and delayed acknowledgements together would hold up every streamed token.
        NoDelay = true;
        # An address of a network that is not up yet at boot.
        FreeBind = !onLoopback;
      }
      # The filters of this unit, not of the service, are those of connections that come in.
      // lib.optionalAttrs onLoopback {
        IPAddressAllow = [ "localhost" ];
        IPAddressDeny = [ "any" ];
      };
    };

    # NixOS' switch leaves a changed socket as it is until the next boot, and the service would go on at
    # the old address. Stopped here, both are started anew by the targets that want them.
    system.activationScripts.hybrid-coordinator-socket = ''
      before=$(readlink -f /run/current-system/${unit} || true)
      after=$(readlink -f "$systemConfig/${unit}" || true)
      if [ -d /run/systemd/system ] && [ -e "$before" ] && [ "$before" != "$after" ]; then
        ${config.systemd.package}/bin/systemctl stop hybrid-coordinator.socket hybrid-coordinator.service
      fi
    '';
  };
}
