#!/bin/sh
# entrypoint.sh gateway|enricher|dedup|store, or any other command.
# A database URL holds a password, so it may come from a file: the environment can be read with `docker inspect`.
set -eu
if [ -n "${CHOWHOUND_DATABASE_URL_FILE:-}" ]; then
  CHOWHOUND_DATABASE_URL=$(cat "$CHOWHOUND_DATABASE_URL_FILE")
  export CHOWHOUND_DATABASE_URL
fi
case "${1:-}" in
  gateway | enricher | dedup | store) exec node "services/$1/src/main.ts" ;;
  *) exec "$@" ;;
esac
