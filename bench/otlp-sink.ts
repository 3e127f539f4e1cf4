/** A process that takes OTLP over HTTP and throws it away, so that what services spend on sending can be measured. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

let requests = 0;
let bytes = 0;
const server = createServer(async (request, response) => {
  if (request.method === "GET") {
    response.end(JSON.stringify({ requests, bytes }));
    return;
  }
  requests++;
  for await (const chunk of request) bytes += chunk.length;
  // An empty ExportTraceServiceResponse.
  response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
});
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
// The parent has ended.
process.stdin.on("end", () => process.exit(0)).resume();
