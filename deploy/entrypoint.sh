#!/bin/sh
# entrypoint.sh gateway|enricher|dedup|store, or any other command.
# A database URL holds a password, so it may come from a file: the environment can be read with `docker inspect`.
set -eu
if [ -n "${CHOWHOUND_DATABASE_URL_FILE:-}" ]; then
  CHOWHOUND_DATABASE_URL=$(cat "$CHOWHOUND_DATABASE_URL_FILE")
  export CHOWHOUND_DATABASE_URL
fi
# Spans go to Jaeger where docker-compose.yml brings it up and .env names no other collector.
if [ -z "${OTEL_EXPORTER_OTLP_ENDPOINT:-}${OTEL_EXPORTER_OTLP_TRACES_ENDPOINT:-}" ]; then
  case ",${COMPOSE_PROFILES:-}," in
    *,observability,* | *,\*,*) export OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://jaeger:4318/v1/traces ;;
  esac
fi
# The young generation is bounded: packages/shared/src/runtime/heap-policy.ts says why.
case "${1:-}" in
  dedup) exec node --max-semi-space-size=4 services/dedup/src/main.ts ;;
  gateway | enricher | store) exec node --max-semi-space-size=16 "services/$1/src/main.ts" ;;
  *) exec "$@" ;;
esac
