#!/bin/sh
# ExecStopPost= of the services: one line for a death that the process could not log itself (killed, out of memory, a
# watchdog), at a priority that `journalctl -p err` shows. $1 is the service; the variables are systemd.exec(5)'s.
[ "$SERVICE_RESULT" = success ] && exit 0
printf '<2>{"level":"fatal","timestamp":"%s","service":"%s","component":"systemd","message":"the process ended unexpectedly","metadata":{"result":"%s","code":"%s","status":"%s"}}\n' \
  "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" "$SERVICE_RESULT" "$EXIT_CODE" "$EXIT_STATUS"
