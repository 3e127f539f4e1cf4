# One image for the four services, docker run chowhound:local gateway|enricher|dedup|store, and for `chow`
# Node runs the TypeScript as it is, so nothing is compiled. Plain instructions only: any builder will do.
FROM node:24.21.0-bookworm-slim AS base
WORKDIR /app

# What npm needs to know and no more, so that a change of the code does not install everything anew.
FROM base AS manifests
COPY package.json package-lock.json ./
COPY packages packages
COPY services services
RUN find packages services -type f ! -name package.json -delete

# Production dependencies of the services and `chow`. The optional packages bring Node and PostgreSQL to machines without Docker.
FROM base AS dependencies
COPY --from=manifests /app ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund \
      --workspace services/gateway --workspace services/enricher --workspace services/dedup --workspace services/store \
      --workspace packages/cli

FROM base AS app
# The directories that compose puts volumes on: a new volume takes their owner.
RUN for directory in keys secrets dedup; do install -d -o node -g node "/var/lib/chowhound/$directory"; done
COPY --from=dependencies /app ./
COPY services services
COPY packages/shared packages/shared
COPY packages/cli packages/cli
COPY deploy/*.sh deploy/*.ts deploy/
# One arena: V8 frees large buffers on other threads than those that have made them, and of several arenas each keeps what it once had.
ENV NODE_ENV=production \
    MALLOC_ARENA_MAX=1
USER node
ENTRYPOINT ["/app/deploy/entrypoint.sh"]

# The demo producer is not part of what is deployed.
FROM app AS demo
COPY packages/local packages/local
CMD ["node", "deploy/demo-producer.ts"]

FROM app AS service
ENV CHOWHOUND_ADMIN_PORT=9090 \
    CHOWHOUND_GRPC_HOST=0.0.0.0 \
    CHOWHOUND_HTTP_HOST=0.0.0.0 \
    CHOWHOUND_KEYS_FILE=/var/lib/chowhound/keys/keys.json \
    CHOWHOUND_DEDUP_DATA_DIR=/var/lib/chowhound/dedup
# gRPC, HTTP, admin, metrics. The last two listen on 127.0.0.1 unless their _HOST says otherwise.
EXPOSE 50051 8080 9090 9464
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s CMD ["node", "deploy/healthcheck.ts"]
CMD ["gateway"]
