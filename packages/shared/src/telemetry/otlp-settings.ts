/** OpenTelemetry's variables that its exporters don't read themselves. */
type Env = Readonly<Record<string, string | undefined>>;

/** "http/protobuf" unless told otherwise. */
export function otlpProtocol(env: Env, signal: "TRACES" | "METRICS"): string {
  return env[`OTEL_EXPORTER_OTLP_${signal}_PROTOCOL`] || env.OTEL_EXPORTER_OTLP_PROTOCOL || "http/protobuf";
}

/** Undefined where it is not set, or no such number. */
export function positiveNumber(env: Env, name: string): number | undefined {
  const value = Number(env[name]);
  return value > 0 ? value : undefined;
}
