/**
 * Pushes two records as JSON over HTTP; the second is bad, and only the second is rejected.
 *
 *   npm start                           in one terminal
 *   npx node examples/01-push-json.ts   in another
 */
import { readEndpoints } from "./endpoints.ts";

const { http, key } = await readEndpoints();
const records = [
  {
    sourceType: "sensor",
    sourceId: "greenhouse-1",
    dataId: "temperature",
    data: "21.5",
    metadata: { unit: "°C", calibrated: true },
    updatedAt: new Date().toISOString(),
  },
  { sourceType: "sensor", sourceId: "greenhouse-1", dataId: "humidity", data: "48" },
];
const response = await fetch(`${http}/chowhound.v1.IngestionService/Ingest`, {
  method: "POST",
  headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
  body: JSON.stringify({ records }),
});
console.log(JSON.stringify(await response.json(), null, 2));
