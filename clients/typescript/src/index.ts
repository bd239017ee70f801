/** A typed client of Intentstream's HTTP service. */

import ky, { HTTPError } from "ky";
import createFetchClient, { type Client as FetchClient } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type { components, paths } from "./schema.js";

/** Messages by name, such as `Schemas["UserList"]`. */
export type Schemas = components["schemas"];

/** `GET`, `POST` with the paths, parameters and answers of the OpenAPI document. */
export type Client = FetchClient<paths>;

export interface Options {
  /** Address of the service, such as `http://127.0.0.1:9200`. */
  url: string;
  /** The client's token; none if the service has none configured. */
  token?: string | undefined;
  /** Milliseconds for each attempt. */
  timeout?: number;
  /** Times that a request is sent again without an answer, or after 429, 502, 503 or 504. An event or item that is sent
   * again counts once. */
  retries?: number;
}

/**
 * Return a client. Its methods resolve to `{data}`, or to `{error}` with the problem if the service refuses the request.
 * They reject without an answer.
 */
export function createClient({ url, token, timeout = 5000, retries = 2 }: Options): Client {
  const retry = {
    limit: retries,
    methods: ["get", "post"],
    statusCodes: [429, 502, 503, 504],
    maxRetryAfter: 2000,
    retryOnTimeout: true,
  };
  return createFetchClient<paths>({
    baseUrl: url,
    headers: token === undefined ? {} : { Authorization: `Bearer ${token}` },
    fetch: async (request) => {
      try {
        return await ky(request, { timeout: false, retry, fetch: (each) => fetchWithin(each as Request, timeout) });
      } catch (error) {
        if (error instanceof HTTPError) return error.response;
        throw error;
      }
    },
  });
}

function fetchWithin(request: Request, timeout: number): Promise<Response> {
  return fetch(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(timeout)]) });
}
