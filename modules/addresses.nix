# What can be told of an address without resolving it: whether it is this machine's own, and how
# systemd writes it. Not a module: plain functions.
{ lib }:
let
  isLoopbackHost =
    host: host == "localhost" || host == "::1" || host == "[::1]" || lib.hasPrefix "127." host;

  # The host part of a URL; "" for a socket in the file system.
  hostOf =
    url:
    let
      match = builtins.match "[a-z+]+://([^/@]*@)?(\\[[^]]*]|[^/:]*).*" url;
    in
    if lib.hasPrefix "unix:" url || match == null then "" else lib.elemAt match 1;

  # Values of ListenStream.
  listenStreams =
    host: port:
    map (address: "${address}:${toString port}") (
      if host == "localhost" then
        [
          "127.0.0.1"
          "[::1]"
        ]
      else if lib.hasInfix ":" host then
        [ "[${host}]" ]
      else
        [ host ]
    );
in
{
  inherit hostOf isLoopbackHost listenStreams;

  # Whether what is behind a URL runs on this machine.
  isLocalUrl =
    url:
    let
      host = hostOf url;
    in
    host == "" || isLoopbackHost host;

  # Whether a URL carries a password or a token before its host.
  hasPassword = url: builtins.match "[a-z+]+://[^/@]*:[^/@]+@.*" url != null;

  # Whether systemd can listen on it: sockets take addresses, not names.
  isAddress =
    host:
    host == "localhost"
    || builtins.match "[0-9]{1,3}(\\.[0-9]{1,3}){3}" host != null
    || builtins.match "[0-9a-fA-F]*:[0-9a-fA-F:.]*" host != null;

  # How another program of this machine connects to what listens there.
  fromHere =
    host:
    let
      loopback = {
        "0.0.0.0" = "127.0.0.1";
        "::" = "::1";
      };
    in
    port: lib.head (listenStreams (loopback.${host} or host) port);
}
