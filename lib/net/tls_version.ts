/** The versions of TLS that a server can require. */
export const TLS_VERSIONS = ["1.2", "1.3"] as const;
/** See {@linkcode TLS_VERSIONS}. */
export type TlsVersion = (typeof TLS_VERSIONS)[number];
